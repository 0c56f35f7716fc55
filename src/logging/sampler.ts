/** Lines alike within one second that are written before only one in as many is: a storm must not fill the disk. */
const burst = 100;
const windowMs = 1_000;

/** Remembered messages; beyond them the oldest second's counts are forgotten. */
const maxMessages = 1_024;

/** Thins out repeated messages as etcd's logger does: the first 100 a second, then each hundredth. */
export class Sampler {
  readonly #counts = new Map<string, { windowEndMs: number; count: number }>();

  /** Whether this line is to be written. */
  admits(level: string, message: string, nowMs: number): boolean {
    const key = `${level} ${message}`;
    const seen = this.#counts.get(key);
    if (seen === undefined || nowMs >= seen.windowEndMs) {
      if (this.#counts.size >= maxMessages) this.#counts.clear();
      this.#counts.set(key, { windowEndMs: nowMs + windowMs, count: 1 });
      return true;
    }
    seen.count++;
    return seen.count <= burst || (seen.count - burst) % burst === 0;
  }
}
