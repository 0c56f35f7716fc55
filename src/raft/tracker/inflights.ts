import { assert, defined } from '../../lib/assert.ts';

/**
 * A window over the append messages sent to one follower and not yet acknowledged, bounded by their count and
 * by their bytes. The byte bound is soft: the message that crosses it is still admitted.
 */
export class Inflights {
  /** Rings of equal length: the last index and the payload bytes of each message. */
  #lastIndexes: number[] = [];
  #sizes: number[] = [];
  #start = 0;
  #held = 0;
  #bytes = 0;
  readonly #capacity: number;
  readonly #maxBytes: number;

  /** @param maxBytes 0 for no limit */
  constructor(capacity: number, maxBytes: number) {
    this.#capacity = capacity;
    this.#maxBytes = maxBytes === 0 ? Infinity : maxBytes;
  }

  clone(): Inflights {
    const copy = new Inflights(this.#capacity, this.#maxBytes);
    copy.#lastIndexes = this.#lastIndexes.slice();
    copy.#sizes = this.#sizes.slice();
    copy.#start = this.#start;
    copy.#held = this.#held;
    copy.#bytes = this.#bytes;
    return copy;
  }

  get count(): number {
    return this.#held;
  }

  full(): boolean {
    return this.#held === this.#capacity || this.#bytes >= this.#maxBytes;
  }

  /** Indexes are added in increasing order, and never while the window is full. */
  add(lastIndex: number, bytes: number): void {
    assert(!this.full(), 'no message is sent while the inflight window is full');
    let next = this.#start + this.#held;
    if (next >= this.#capacity) next -= this.#capacity;
    this.#lastIndexes[next] = lastIndex;
    this.#sizes[next] = bytes;
    this.#held++;
    this.#bytes += bytes;
  }

  /** Frees every message whose last index is not above `index`. */
  freeUpTo(index: number): void {
    while (
      this.#held > 0 &&
      defined(this.#lastIndexes[this.#start], 'a held inflight has an index') <= index
    ) {
      this.#bytes -= defined(this.#sizes[this.#start], 'a held inflight has a size');
      this.#held--;
      this.#start++;
      if (this.#start >= this.#capacity) this.#start = 0;
    }
    if (this.#held === 0) this.#start = 0;
  }

  reset(): void {
    this.#start = 0;
    this.#held = 0;
    this.#bytes = 0;
  }
}
