import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import type { SecureContextOptions } from 'node:tls';
import { GrpcCode } from '../../src/wire/errors.ts';
import type { Answer, Method } from './rpc-client.ts';
import { framed, PREFIX_BYTES } from './grpc-frame.ts';

/** Flow-control window of the client in bytes. */
const WINDOW = 1 << 24;

/** The result of a call: a message or a status. */
export type RawAnswer = { readonly message: Buffer } | { readonly code: number; readonly details: string };

/**
 * Client for unary gRPC calls over the HTTP/2 of Node.js. It needs about a third of the processor time of the reference
 * client. It keeps one connection and opens a new one when it is lost. It never retries a call.
 */
export class LoadClient {
  readonly #endpoint: string;
  readonly #timeoutMs: number;
  readonly #tls: (() => SecureContextOptions) | undefined;
  /** Sessions that reached the server: a call on any other one took no effect. */
  readonly #reached = new WeakSet<ClientHttp2Session>();
  #session: ClientHttp2Session | undefined;

  /** @param options.tls what the connection is made with over TLS, read anew for each */
  constructor(
    endpoint: string,
    { timeoutMs = 20_000, tls }: { timeoutMs?: number; tls?: () => SecureContextOptions } = {},
  ) {
    this.#endpoint = endpoint;
    this.#tls = tls;
    this.#timeoutMs = timeoutMs;
  }

  async unary<Q, R>(method: Method<Q, R>, request: Q): Promise<Answer> {
    const answer = await this.call(method.path, method.request.encode(request));
    return 'message' in answer ? { messages: [method.response.decode(answer.message)] } : answer;
  }

  /** One call with an encoded message. */
  call(path: string, message: Buffer): Promise<RawAnswer> {
    const session = this.#connected();
    return new Promise((resolve) => {
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      const timer = setTimeout(() => {
        stream.close(constants.NGHTTP2_CANCEL);
        resolve({ code: GrpcCode.DeadlineExceeded, details: `no answer within ${this.#timeoutMs} ms` });
      }, this.#timeoutMs);
      void answerOf(stream).then((answer) => {
        clearTimeout(timer);
        const details = this.#reached.has(session) ? 'the connection was lost' : 'No connection established';
        resolve(answer ?? { code: GrpcCode.Unavailable, details });
      });
      stream.write(framed(message));
      stream.end();
    });
  }

  close(): void {
    this.#session?.destroy();
    this.#session = undefined;
  }

  #connected(): ClientHttp2Session {
    const current = this.#session;
    if (current !== undefined && !current.closed && !current.destroyed) return current;
    const session = connect(`${this.#tls === undefined ? 'http' : 'https'}://${this.#endpoint}`, {
      settings: { initialWindowSize: WINDOW },
      ...this.#tls?.(),
    });
    session.once('connect', () => {
      // The session may have ended between the connection and this event.
      if (session.destroyed) return;
      this.#reached.add(session);
      session.setLocalWindowSize(WINDOW);
    });
    session.on('error', () => undefined);
    this.#session = session;
    return session;
  }
}

/** @returns nothing for a call that ended without a status */
function answerOf(stream: ClientHttp2Stream): Promise<RawAnswer | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let status: { code: number; details: string } | undefined;
    const read = (headers: Record<string, unknown>): void => {
      const [code, details] = [headers['grpc-status'], headers['grpc-message']];
      if (typeof code === 'string')
        status = {
          code: Number(code),
          details: typeof details === 'string' ? decodeURIComponent(details) : '',
        };
    };
    stream.on('response', read);
    stream.on('trailers', read);
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', () => undefined);
    stream.on('close', () => {
      if (status?.code === 0) resolve({ message: Buffer.concat(chunks).subarray(PREFIX_BYTES) });
      else resolve(status);
    });
  });
}
