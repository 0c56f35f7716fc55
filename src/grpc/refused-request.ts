import type { Http2Stream, StreamListener } from '../http2/stream.ts';
import type { Refusal } from './request-headers.ts';
import { trailersOnlyBlock } from './response-blocks.ts';

/**
 * Reads a request that is not gRPC to its end, drops what it holds, and answers it: with grpc-go's headers, and the
 * reason as a body for whoever looks at it with an HTTP client.
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
    this.#stream.sendHeaders(trailersOnlyBlock(this.#refusal, { httpStatus }));
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
