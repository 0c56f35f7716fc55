import type { SlicedWork, Turns } from './turns.ts';

/** Connections closed in one slice. Each costs about 50 microseconds, most of it to close a file descriptor. */
const SLICE = 8;

/**
 * Closes the connections of clients that have disconnected, a few in each slice. So ten thousand disconnects at once do
 * not delay other clients.
 */
export class Endings implements SlicedWork {
  readonly #turns: Turns;
  #waiting: (() => void)[] = [];
  #next = 0;

  constructor(turns: Turns) {
    this.#turns = turns;
  }

  /** Calls `end` once, soon. */
  add(end: () => void): void {
    if (this.#waiting.length === 0) this.#turns.addLater(this);
    this.#waiting.push(end);
  }

  slice(): boolean {
    const upTo = Math.min(this.#next + SLICE, this.#waiting.length);
    while (this.#next < upTo) this.#waiting[this.#next++]?.();
    if (this.#next < this.#waiting.length) return true;
    this.#waiting = [];
    this.#next = 0;
    return false;
  }
}
