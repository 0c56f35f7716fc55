import type { EventLoopDelay } from '../metrics/event-loop.ts';
import type { LoopReport } from './report.ts';

/** Half of the longest time that is measured. */
export const TURN_MS = 30_000;

/**
 * The delay of the event loop in the last 30 to 60 seconds. Two histograms are cleared in turn, and the one that has
 * measured longer is read.
 */
export class RecentDelay {
  #older: Measured;
  #newer: Measured;
  readonly #nowMs: () => number;

  constructor(histograms: readonly [EventLoopDelay, EventLoopDelay], nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#older = { delay: histograms[0], sinceMs: nowMs() };
    this.#newer = { delay: histograms[1], sinceMs: nowMs() };
  }

  /** To be called every `TURN_MS`. */
  turn(): void {
    const { delay } = this.#older;
    delay.reset();
    this.#older = this.#newer;
    this.#newer = { delay, sinceMs: this.#nowMs() };
  }

  report(): LoopReport {
    return loopReport(this.#older.delay, (this.#nowMs() - this.#older.sinceMs) / 1000);
  }

  stop(): void {
    this.#older.delay.stop();
    this.#newer.delay.stop();
  }
}

interface Measured {
  readonly delay: EventLoopDelay;
  readonly sinceMs: number;
}

export function loopReport(delay: EventLoopDelay, seconds: number): LoopReport {
  return {
    seconds,
    p50Ms: delay.quantileSeconds(0.5) * 1000,
    p99Ms: delay.quantileSeconds(0.99) * 1000,
    maxMs: delay.maxSeconds * 1000,
  };
}
