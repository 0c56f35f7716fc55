import type { ServerResponse } from 'node:http';
import { GrpcCode } from '../../wire/errors.ts';
import { reply, setHead, type Headers } from '../http/reply.ts';
import { errorBody, httpStatus, replyJsonError } from './json-error.ts';
import type { ResponseWriter } from './response-writer.ts';

const SUCCESS_HEADERS: Headers = [
  ['Content-Type', 'application/json'],
  ['Grpc-Metadata-Content-Type', 'application/grpc'],
];
/** Longer bodies are sent in chunks, as Go's server does. */
const MAX_PLAIN_BYTES = 2048;

/** An HTTP response: one message as the body, or one message per line. */
export class HttpResponseWriter implements ResponseWriter {
  readonly #response: ServerResponse;
  readonly #isStream: boolean;
  /** The client announced that it reads trailers. */
  readonly #wantsTrailers: boolean;
  #hasBegun = false;
  /** The start of a body that may still be short. */
  #held = '';

  constructor(response: ServerResponse, isStream: boolean) {
    this.#response = response;
    this.#isStream = isStream;
    this.#wantsTrailers = /trailers/i.test(String(response.req.headers.te ?? ''));
  }

  get queuedBytes(): number {
    return this.#response.writableLength;
  }

  write(text: string): void {
    if (!this.#hasBegun) {
      if (!this.#isStream) this.#held += text;
      if (!this.#isStream && !this.#wantsTrailers && Buffer.byteLength(this.#held) <= MAX_PLAIN_BYTES) return;
      this.#begin(200, SUCCESS_HEADERS);
    }
    this.#response.write(this.#held === '' ? text : this.#held);
    this.#held = '';
  }

  end(): void {
    if (!this.#hasBegun && !this.#isStream) {
      reply(this.#response, 200, SUCCESS_HEADERS, this.#held);
      return;
    }
    if (!this.#hasBegun) this.#begin(200, []);
    this.#response.end();
  }

  fail(code: number, message: string): void {
    if (!this.#isStream) {
      this.#answer(code, message, this.#wantsTrailers);
      return;
    }
    if (!this.#hasBegun) this.#begin(httpStatus(code), [['Content-Type', 'application/json']]);
    this.#response.end(`{"error":${errorBody(code, message)}}\n`);
  }

  refuse(code: number, message: string): void {
    if (code === GrpcCode.ResourceExhausted) {
      // The rest of such a request is not read.
      const { socket } = this.#response.req;
      this.#response.once('finish', () => socket.destroySoon());
    }
    if (this.#hasBegun) this.fail(code, message);
    else this.#answer(code, message, false);
  }

  destroy(): void {
    this.#response.destroy();
  }

  #answer(code: number, message: string, hasTrailers: boolean): void {
    if (!this.#wantsTrailers) {
      replyJsonError(this.#response, code, message);
      return;
    }
    const trailer = [['Trailer', 'Grpc-Trailer-Content-Type']] as const;
    const challenge = code === GrpcCode.Unauthenticated ? ([['WWW-Authenticate', message]] as const) : [];
    this.#begin(httpStatus(code), [
      ['Content-Type', 'application/json'],
      ...challenge,
      ...(hasTrailers ? trailer : []),
    ]);
    this.#response.write(errorBody(code, message));
    if (hasTrailers) this.#response.addTrailers({ 'Grpc-Trailer-Content-Type': 'application/grpc' });
    this.#response.end();
  }

  #begin(status: number, headers: Headers): void {
    this.#hasBegun = true;
    setHead(this.#response, status, headers);
    // HTTP/1.0 has no chunks. There the end of the connection ends the body.
    if (this.#response.req.httpVersion !== '1.0') this.#response.setHeader('Transfer-Encoding', 'chunked');
    if (this.#isStream) this.#response.flushHeaders();
  }
}
