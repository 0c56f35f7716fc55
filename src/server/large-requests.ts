/** Requests below it count by their number alone, and never wait for others. */
const LARGE_BYTES = 4096;

/** Bytes of large requests between their proposal and their result. Two of the default largest size fit. */
export const LARGE_WINDOW_BYTES = 3 * 1024 * 1024;

interface Held {
  readonly sequence: number;
  readonly bytes: number;
  readonly send: () => void;
}

/**
 * The large requests under way. The log keeps the order of proposals, so a small request waits for all that was
 * proposed before it. Therefore only some bytes of large requests are proposed at a time. The others wait here in
 * their order, and small requests go ahead of them.
 */
export class LargeRequests {
  readonly #maxBytes: number;
  /** Whether somebody still waits for the result of a request. */
  readonly #isWanted: (sequence: number) => boolean;
  /** Sizes by sequence, of those proposed and those that wait. */
  readonly #sizes = new Map<number, number>();
  #bytes = 0;
  /** Not proposed yet, by sequence, in their order. */
  readonly #held = new Map<number, Held>();
  #heldBytes = 0;

  /** @param maxBytes of requests under way, proposed or not, above which further ones are refused */
  constructor(maxBytes: number, isWanted: (sequence: number) => boolean) {
    this.#maxBytes = maxBytes;
    this.#isWanted = isWanted;
  }

  /** Whether a request of that size has to be refused. */
  isFull(bytes: number): boolean {
    if (bytes < LARGE_BYTES || this.#bytes + bytes <= this.#maxBytes) return false;
    this.sweep();
    return this.#bytes + bytes > this.#maxBytes;
  }

  /**
   * Sends a request now, or when its turn has come. One that nobody waits for any more is never sent.
   *
   * @param send may find that it cannot be taken any more, and fail it
   */
  add(sequence: number, bytes: number, send: () => void): void {
    if (bytes < LARGE_BYTES) {
      send();
      return;
    }
    this.#sizes.set(sequence, bytes);
    this.#bytes += bytes;
    this.#held.set(sequence, { sequence, bytes, send });
    this.#heldBytes += bytes;
    this.#sendHeld();
  }

  /** Whether the request waits for its turn: nobody but this member has seen it. */
  isHeld(sequence: number): boolean {
    return this.#held.has(sequence);
  }

  /** The request has its result. */
  done(sequence: number): void {
    if (!this.#sizes.has(sequence)) return;
    this.#forget(sequence);
    this.#sendHeld();
  }

  /** Forgets those that nobody waits for: they were given up, and left no word. */
  sweep(): void {
    for (const sequence of this.#sizes.keys()) if (!this.#isWanted(sequence)) this.#forget(sequence);
    this.#sendHeld();
  }

  #forget(sequence: number): void {
    this.#bytes -= this.#sizes.get(sequence) ?? 0;
    this.#sizes.delete(sequence);
    this.#take(sequence);
  }

  #take(sequence: number): void {
    this.#heldBytes -= this.#held.get(sequence)?.bytes ?? 0;
    this.#held.delete(sequence);
  }

  #sendHeld(): void {
    for (const { sequence, bytes, send } of this.#held.values()) {
      const proposed = this.#bytes - this.#heldBytes;
      // One by itself may be larger than the window.
      if (proposed > 0 && proposed + bytes > LARGE_WINDOW_BYTES) return;
      this.#take(sequence);
      if (this.#isWanted(sequence)) send();
      if (!this.#isWanted(sequence)) this.#forget(sequence);
    }
  }
}
