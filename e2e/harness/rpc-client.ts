import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import type { MessageCodec } from '../../src/wire/codec.ts';

/** A method with its message types kept, as the generated service tables have it. */
export interface Method<Q, R> {
  readonly path: string;
  readonly request: MessageCodec<Q>;
  readonly response: MessageCodec<R>;
}

/** A response: messages, or a status with its text. */
export type Answer = { messages: unknown[] } | { code: number; details: string };

/** gRPC client with the reference implementation for Node.js and the codecs of this project. */
export class RpcClient {
  readonly #client: Client;
  readonly #timeoutMs: number;
  readonly #metadata = new Metadata();
  readonly #traced = new Metadata();

  /**
   * @param options.channel settings of grpc-js besides those of message sizes
   * @param options.token of a login, sent with unary calls
   * @param options.traceparent the trace that calls belong to, in the format of W3C
   */
  constructor(
    endpoint: string,
    {
      timeoutMs = 20_000,
      channel = {},
      security = credentials.createInsecure(),
      token,
      traceparent,
    }: {
      timeoutMs?: number;
      channel?: ChannelOptions;
      security?: ChannelCredentials;
      token?: string;
      traceparent?: string;
    } = {},
  ) {
    this.#timeoutMs = timeoutMs;
    if (token !== undefined) this.#metadata.set('token', token);
    if (traceparent !== undefined) this.#traced.set('traceparent', traceparent);
    this.#metadata.merge(this.#traced);
    this.#client = new Client(endpoint, security, {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      ...channel,
    });
  }

  unary<Q, R>(method: Method<Q, R>, request: Q): Promise<Answer> {
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(
        method.path,
        encoder(method),
        decoder(method),
        request,
        this.#metadata,
        this.#deadline(),
        (error, response) => {
          resolve(error === null ? { messages: [response] } : failure(error));
        },
      );
    });
  }

  /** Returns all messages of a call that the server ends. */
  serverStream<Q, R>(method: Method<Q, R>, request: Q): Promise<Answer> {
    return new Promise((resolve) => {
      const messages: R[] = [];
      const call = this.#client.makeServerStreamRequest(
        method.path,
        encoder(method),
        decoder(method),
        request,
        this.#traced,
        this.#deadline(),
      );
      call.on('data', (message: R) => messages.push(message));
      call.on('error', (error: ServiceError) => resolve(failure(error)));
      call.on('end', () => resolve({ messages }));
    });
  }

  /** Sends one message on a new bidirectional stream and returns the first response. */
  exchange<Q, R>(method: Method<Q, R>, request: Q): Promise<Answer> {
    return new Promise((resolve) => {
      const call = this.#client.makeBidiStreamRequest(
        method.path,
        encoder(method),
        decoder(method),
        this.#traced,
        this.#deadline(),
      );
      call.once('data', (message: R) => {
        resolve({ messages: [message] });
        call.end();
      });
      call.on('error', (error: ServiceError) => resolve(failure(error)));
      call.write(request);
    });
  }

  /** Returns the messages of a call until it is cancelled. */
  openServerStream<Q, R>(method: Method<Q, R>, request: Q): ClientReadableStream<R> {
    return this.#client.makeServerStreamRequest(method.path, encoder(method), decoder(method), request);
  }

  openStream<Q, R>(method: Method<Q, R>): ClientDuplexStream<Q, R> {
    return this.#client.makeBidiStreamRequest(method.path, encoder(method), decoder(method), this.#traced);
  }

  #deadline(): { deadline: number } {
    return { deadline: Date.now() + this.#timeoutMs };
  }

  close(): void {
    this.#client.close();
  }
}

/** Runs `work` with a client of its own for an endpoint. */
export async function withClient<T>(endpoint: string, work: (client: RpcClient) => Promise<T>): Promise<T> {
  const client = new RpcClient(endpoint);
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

function encoder<Q, R>(method: Method<Q, R>): (message: Q) => Buffer {
  return (message) => method.request.encode(message);
}

function decoder<Q, R>(method: Method<Q, R>): (bytes: Buffer) => R {
  return (bytes) => method.response.decode(bytes);
}

function failure(error: ServiceError): Answer {
  return { code: error.code, details: error.details };
}
