import type { Http2Stream, StreamListener } from '../http2/stream.ts';
import type { Refusal } from './request-headers.ts';
import { trailersOnlyBlock } from './response-blocks.ts';

/** HTTP status for a content type that is not gRPC's. */
const NOT_GRPC = 415;

/**
 * Reads a refused request to its end, drops its data, and responds with grpc-go's headers. A request that is not gRPC
 * also gets the reason as the body, since HTTP clients show the body.
 */
export class RefusedRequest implements StreamListener {
  readonly #stream: Http2Stream;
  readonly #refusal: Refusal;

  constructor(stream: Http2Stream, refusal: Refusal) {
    this.#stream = stream;
    this.#refusal = refusal;
  }

  answer(): void {
    const { httpStatus, message } = this.#refusal;
    const headers = trailersOnlyBlock(this.#refusal, { httpStatus });
    if (httpStatus !== NOT_GRPC) {
      this.#stream.sendHeadersOnly(headers);
      return;
    }
    this.#stream.sendHeaders(headers);
    this.#stream.write(Buffer.from(`${message}\n`));
    this.#stream.end('data');
  }

  onData(data: Buffer, endStream: boolean): void {
    this.#stream.consume(data.length);
    if (endStream) this.answer();
  }

  onReset(): void {
    // Nothing was begun.
  }

  onDrain(): void {
    // Nothing is queued.
  }
}
