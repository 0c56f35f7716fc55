import type { SlicedWork, Turns } from './turns.ts';

/** Ended in one slice: each costs some 50 microseconds, most of it to close a file descriptor. */
const SLICE = 8;

/**
 * Connections whose clients have gone, and what else has to be ended: a few in each slice, so that the end of ten
 * thousand connections at once holds up nobody.
 */
export class Endings implements SlicedWork {
  readonly #turns: Turns;
  #waiting: (() => void)[] = [];
  #next = 0;

  constructor(turns: Turns) {
    this.#turns = turns;
  }

  /** `end` is called once, soon. */
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
