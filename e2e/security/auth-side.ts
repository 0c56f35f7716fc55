import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import type { Answer, Method } from '../harness/rpc-client.ts';

export type Generic = Method<unknown, unknown> & {
  readonly clientStreaming?: boolean;
  readonly serverStreaming?: boolean;
};

/** Credentials of a call. */
export type Credentials = Readonly<Record<string, string>>;

export interface OpenStream<Q> {
  readonly messages: readonly unknown[];
  /** Code and text of the error that ended it. */
  ended: string | undefined;
  send: (request: Q) => void;
  close: () => void;
}

/** A client of one server for several users. Each call has its own credentials. */
export class Side {
  readonly #client: Client;

  constructor(endpoint: string, channel = credentials.createInsecure()) {
    this.#client = new Client(endpoint, channel, {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
    });
  }

  /**
   * @param onlyFirst of streams: the first message is the answer, and the call is cancelled then; else all messages
   * until the server ends it
   */
  call(method: Generic, request: unknown, who: Credentials = {}, onlyFirst = false): Promise<Answer> {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(who)) metadata.set(name, value);
    return method.serverStreaming === true
      ? this.#stream(method, request, metadata, onlyFirst)
      : this.#unary(method, request, metadata);
  }

  /** A stream that both sides continue. */
  open<Q, R>(method: Method<Q, R>, who: Credentials): OpenStream<Q> {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(who)) metadata.set(name, value);
    const call = this.#client.makeBidiStreamRequest(
      method.path,
      (message: Q) => method.request.encode(message),
      (bytes: Buffer): unknown => method.response.decode(bytes),
      metadata,
    );
    const messages: unknown[] = [];
    const stream: OpenStream<Q> = {
      messages,
      ended: undefined,
      send: (request) => void call.write(request),
      close: () => call.cancel(),
    };
    call.on('data', (message: unknown) => messages.push(message));
    call.on('error', ({ code, details }: ServiceError) => (stream.ended = `${code} ${details}`));
    return stream;
  }

  close(): void {
    this.#client.close();
  }

  #unary(method: Generic, request: unknown, metadata: Metadata): Promise<Answer> {
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(
        method.path,
        (message: unknown) => method.request.encode(message),
        (bytes: Buffer) => method.response.decode(bytes),
        request,
        metadata,
        { deadline: Date.now() + 20_000 },
        (error, response) => resolve(error === null ? { messages: [response] } : failure(error)),
      );
    });
  }

  #stream(method: Generic, request: unknown, metadata: Metadata, onlyFirst: boolean): Promise<Answer> {
    const encode = (message: unknown): Buffer => method.request.encode(message);
    const decode = (bytes: Buffer): unknown => method.response.decode(bytes);
    const options = { deadline: Date.now() + 20_000 };
    return new Promise((resolve) => {
      const messages: unknown[] = [];
      const open = (): ReturnType<Client['makeServerStreamRequest']> => {
        if (method.clientStreaming !== true)
          return this.#client.makeServerStreamRequest(
            ...([method.path, encode, decode, request, metadata, options] as const),
          );
        const both = this.#client.makeBidiStreamRequest(method.path, encode, decode, metadata, options);
        both.write(request);
        return both;
      };
      const call = open();
      call.on('data', (message: unknown) => {
        messages.push(message);
        if (!onlyFirst) return;
        resolve({ messages });
        call.cancel();
      });
      call.on('error', (error: ServiceError) => resolve(failure(error)));
      call.on('end', () => resolve({ messages }));
    });
  }
}

function failure(error: ServiceError): Answer {
  return { code: error.code, details: error.details };
}
