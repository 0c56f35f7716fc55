import { assert } from '../lib/assert.ts';
import type { Http2Stream } from './stream.ts';

/** Streams with data to send, served by round robin. */
export class SendRound {
  #queue: Http2Stream[] = [];
  #head = 0;

  get empty(): boolean {
    return this.#head === this.#queue.length;
  }

  /** Adds a stream to the end of the queue, once. */
  add(stream: Http2Stream): void {
    if (stream.inSendRound) return;
    stream.inSendRound = true;
    this.#queue.push(stream);
  }

  take(): Http2Stream {
    const stream = this.#queue[this.#head];
    assert(stream !== undefined, 'a stream is taken only from a queue that is not empty');
    this.#head++;
    stream.inSendRound = false;
    if (this.empty) {
      this.#queue.length = 0;
      this.#head = 0;
    } else if (this.#head >= 1024) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return stream;
  }

  clear(): void {
    this.#queue = [];
    this.#head = 0;
  }
}
