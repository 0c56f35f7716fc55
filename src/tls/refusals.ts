/** Steps done in one turn. Each costs 50 to 100 microseconds: a line in the log, or the end of a file descriptor. */
const STEPS_PER_TURN = 16;

/**
 * Logs and closes refused connections, a few in each turn of the event loop: thousands of handshakes may time out at
 * once.
 */
export class Refusals {
  #waiting: (() => void)[] = [];
  #next = 0;

  /** Calls `step` once, in a later turn. */
  add(step: () => void): void {
    if (this.#waiting.length === 0) setImmediate(this.#turn);
    this.#waiting.push(step);
  }

  readonly #turn = (): void => {
    const upTo = Math.min(this.#next + STEPS_PER_TURN, this.#waiting.length);
    while (this.#next < upTo) this.#waiting[this.#next++]?.();
    if (this.#next < this.#waiting.length) {
      setImmediate(this.#turn);
      return;
    }
    this.#waiting = [];
    this.#next = 0;
  };
}
