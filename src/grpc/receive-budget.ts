/** A message that needs more memory than its stream's window, waiting for it. */
export interface ReceiveClaim {
  readonly bytes: number;
  granted: boolean;
  /** Its turn has come: the client may send the rest, or the message may be expanded. */
  onGrant(): void;
}

/**
 * Bounds what the large messages of one connection may occupy while they arrive. Streams have a small window of their
 * own; a longer message gets the rest of its window from here, first come, first served, so that those served can
 * complete and however many a client starts, only so many bytes are ever buffered.
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

  /** The message has been handed on or dropped. */
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
