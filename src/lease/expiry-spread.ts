/**
 * Spreads leases that would expire in the same second after a change of leader: beyond three quarters of
 * `ratePerSecond` in a window of a second, each further lease is delayed in proportion to its place in the pile.
 * As etcd's lessor does.
 */
export class ExpirySpread {
  readonly #target: number;
  #base = -Infinity;
  #windowEnd = -Infinity;
  #inWindow = 0;

  constructor(ratePerSecond: number) {
    this.#target = Math.floor((3 * ratePerSecond) / 4);
  }

  /**
   * @param remainingMs time to expiry of the next lease, no less than that of the one before
   * @returns the milliseconds it should live longer
   */
  delayOf(remainingMs: number): number {
    if (remainingMs > this.#windowEnd) {
      this.#base = remainingMs;
      this.#windowEnd = remainingMs + 1000;
      this.#inWindow = 1;
      return 0;
    }
    this.#inWindow++;
    if (this.#inWindow <= this.#target) return 0;
    // A lease that is already some way into the window needs that much less of a delay.
    const delayMs = (1000 * this.#inWindow) / this.#target - (remainingMs - this.#base);
    this.#windowEnd = this.#base + delayMs;
    return delayMs;
  }
}
