import * as grpc from '@grpc/grpc-js';

const raw = (bytes: Buffer): Buffer => bytes;

/** How a call by `TestClient` ended. */
export interface CallResult {
  readonly code: number;
  readonly details: string;
  readonly message: Buffer | undefined;
}

/** A @grpc/grpc-js client for tests that sends and receives raw bytes on any path. */
export class TestClient {
  readonly #client: grpc.Client;

  constructor(
    target: string,
    credentials = grpc.credentials.createInsecure(),
    options: grpc.ClientOptions = {},
  ) {
    this.#client = new grpc.Client(target, credentials, {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      ...options,
    });
  }

  unary(
    path: string,
    message: Buffer | string = '',
    { metadata = {}, ...options }: grpc.CallOptions & { metadata?: Record<string, string | Buffer> } = {},
  ): Promise<CallResult> {
    const md = new grpc.Metadata();
    for (const [name, value] of Object.entries(metadata)) md.set(name, value);
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(path, raw, raw, Buffer.from(message), md, options, (error, reply) => {
        if (error === null) resolve({ code: 0, details: '', message: reply });
        else resolve({ code: error.code, details: error.details, message: undefined });
      });
    });
  }

  bidi(path: string, options: grpc.CallOptions = {}): grpc.ClientDuplexStream<Buffer, Buffer> {
    return this.#client.makeBidiStreamRequest(path, raw, raw, options);
  }

  serverStream(path: string, message: Buffer | string = ''): grpc.ClientReadableStream<Buffer> {
    return this.#client.makeServerStreamRequest(path, raw, raw, Buffer.from(message));
  }

  close(): void {
    this.#client.close();
  }
}

/** Reads a response stream to its end. */
export async function collect(
  call: grpc.ClientReadableStream<Buffer> | grpc.ClientDuplexStream<Buffer, Buffer>,
): Promise<{ code: number; details: string; messages: Buffer[] }> {
  const messages: Buffer[] = [];
  call.on('data', (message: Buffer) => messages.push(message));
  call.on('error', () => undefined);
  return new Promise((resolve) => {
    call.on('status', ({ code, details }) => resolve({ code, details, messages }));
  });
}
