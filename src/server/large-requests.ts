/** Smaller requests are limited only by their number and never wait for others. */
const LARGE_BYTES = 4096;

/** Maximum bytes of large requests that are proposed and have no result yet. Two of the default maximum size fit. */
export const LARGE_WINDOW_BYTES = 3 * 1024 * 1024;

interface Held {
  readonly sequence: number;
  readonly bytes: number;
  readonly send: () => void;
}

/**
 * The large requests in flight. The log keeps the order of proposals, so a small request waits for everything that was
 * proposed before it. Therefore only a limited number of bytes of large requests is proposed at a time. The others wait
 * here in their order, and small requests overtake them.
 */
export class LargeRequests {
  readonly #maxBytes: number;
  /** Whether a caller still waits for the result of a request. */
  readonly #isWanted: (sequence: number) => boolean;
  /** Sizes by sequence, both of proposed and of waiting requests. */
  readonly #sizes = new Map<number, number>();
  #bytes = 0;
  /** Requests that are not proposed yet, by sequence, in their order. */
  readonly #held = new Map<number, Held>();
  #heldBytes = 0;

  /** @param maxBytes limit of bytes of large requests, proposed or waiting; above it new ones are refused */
  constructor(maxBytes: number, isWanted: (sequence: number) => boolean) {
    this.#maxBytes = maxBytes;
    this.#isWanted = isWanted;
  }

  /** Whether a request of this size must be refused. */
  isFull(bytes: number): boolean {
    if (bytes < LARGE_BYTES || this.#bytes + bytes <= this.#maxBytes) return false;
    this.sweep();
    return this.#bytes + bytes > this.#maxBytes;
  }

  /**
   * Sends a request now or when there is room. A request is not sent when its caller no longer waits.
   *
   * @param send sends the request, or fails it when it cannot be accepted any more
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

  /** Whether the request still waits here and has not been proposed. */
  isHeld(sequence: number): boolean {
    return this.#held.has(sequence);
  }

  /** Called when a request has its result. */
  done(sequence: number): void {
    if (!this.#sizes.has(sequence)) return;
    this.#forget(sequence);
    this.#sendHeld();
  }

  /** Removes requests whose callers no longer wait, for example after a timeout. */
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
      // A single request may be larger than the window.
      if (proposed > 0 && proposed + bytes > LARGE_WINDOW_BYTES) return;
      this.#take(sequence);
      if (this.#isWanted(sequence)) send();
      if (!this.#isWanted(sequence)) this.#forget(sequence);
    }
  }
}
