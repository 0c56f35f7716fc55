/**
 * After a change of leader, spreads leases that would expire in the same second. In a window of one second, three
 * quarters of `ratePerSecond` leases keep their time. Each further lease is delayed in proportion to its position.
 * This is the algorithm of etcd's lessor.
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
   * @param remainingMs time until the next lease expires; must not be less than that of the lease before
   * @returns how many milliseconds longer the lease should live
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
    // A lease that expires later in the window needs a shorter delay.
    const delayMs = (1000 * this.#inWindow) / this.#target - (remainingMs - this.#base);
    this.#windowEnd = this.#base + delayMs;
    return delayMs;
  }
}
