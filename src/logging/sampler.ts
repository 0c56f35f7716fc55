/**
 * How many equal lines are written per second. After them only one in this many is written, so that repeated messages
 * do not fill the disk.
 */
const BURST = 100;
const WINDOW_MS = 1_000;

/** How many messages are remembered. Above this, the counts of the oldest second are dropped. */
const MAX_MESSAGES = 1_024;

/** Samples repeated messages like etcd's logger: the first 100 per second, then every hundredth. */
export class Sampler {
  readonly #counts = new Map<string, { windowEndMs: number; count: number }>();

  /** Whether to write this line. */
  admits(level: string, message: string, nowMs: number): boolean {
    const key = `${level} ${message}`;
    const seen = this.#counts.get(key);
    if (seen === undefined || nowMs >= seen.windowEndMs) {
      if (this.#counts.size >= MAX_MESSAGES) this.#counts.clear();
      this.#counts.set(key, { windowEndMs: nowMs + WINDOW_MS, count: 1 });
      return true;
    }
    seen.count++;
    return seen.count <= BURST || (seen.count - BURST) % BURST === 0;
  }
}
