/** A request for memory, for a message that is larger than the window of its stream. */
export interface ReceiveClaim {
  readonly bytes: number;
  granted: boolean;
  /** The memory is granted: the client may send the rest, or the message may be decompressed. */
  onGrant(): void;
}

/**
 * Limits the memory for large incoming messages of one connection. Streams have a small window. A larger message gets
 * the rest of its window from this budget, first come, first served. So messages that got their share can complete, and
 * the buffered bytes are limited for any number of messages.
 */
export class ReceiveBudget {
  #free: number;
  #waiting: ReceiveClaim[] = [];

  /** `totalBytes` is at least the longest message. */
  constructor(totalBytes: number) {
    this.#free = totalBytes;
  }

  claim(claim: ReceiveClaim): void {
    this.#waiting.push(claim);
    this.#grant();
  }

  /** The message was delivered or dropped. */
  release(claim: ReceiveClaim): void {
    if (claim.granted) {
      claim.granted = false;
      this.#free += claim.bytes;
    } else {
      this.#waiting = this.#waiting.filter((waiting) => waiting !== claim);
    }
    this.#grant();
  }

  #grant(): void {
    for (
      let next = this.#waiting[0];
      next !== undefined && next.bytes <= this.#free;
      next = this.#waiting[0]
    ) {
      this.#waiting.shift();
      this.#free -= next.bytes;
      next.granted = true;
      next.onGrant();
    }
  }
}
