import type { Clock } from '../ports/clock.ts';
import type { Scheduler } from '../ports/scheduler.ts';

/** Time for long reads in one turn of the event loop, in milliseconds. */
const TURN_MS = 1;
/** Minimum while proposals are pending. A put needs several turns, and each is delayed by the reads in it. */
const BUSY_TURN_MS = 0.2;
/** Share of the time for long reads while proposals are pending. Without it, lists would starve under steady puts. */
const BUSY_SHARE = 0.2;

export interface LongReadsOptions {
  readonly clock: Pick<Clock, 'now'>;
  readonly scheduler: Pick<Scheduler, 'soon'>;
  /** Whether proposals are pending. */
  readonly isBusy: () => boolean;
}

/**
 * Schedules reads that are too long for one turn of the event loop. A read schedules its next slice at the end of each
 * slice. All reads together get about one millisecond per turn, one slice each in their order. While writes are pending
 * they get a fifth of the time. So a write waits for only a few slices, and lists still make progress.
 *
 * The decoding of large requests has a scheduler of its own of this kind.
 */
export class LongReads {
  readonly #options: LongReadsOptions;
  readonly #waiting: (() => void)[] = [];
  #isScheduled = false;
  /** Whether other tasks were already let go first in this turn. */
  #hasYielded = false;
  #endedMs = 0;
  readonly #task = (): void => this.#run();

  constructor(options: LongReadsOptions) {
    this.#options = options;
  }

  /** Runs `slice` in one of the next turns. It should take a few tenths of a millisecond and must not throw. */
  soon(slice: () => void): void {
    this.#waiting.push(slice);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.scheduler.soon(this.#task);
  }

  #run(): void {
    const { clock, scheduler, isBusy } = this.#options;
    const busy = isBusy();
    if (busy && !this.#hasYielded) {
      // Tasks of requests that arrived in this turn were scheduled after this one. They run first.
      this.#hasYielded = true;
      scheduler.soon(this.#task);
      return;
    }
    this.#hasYielded = false;
    const startedMs = clock.now();
    const share = Math.min(TURN_MS, Math.max(BUSY_TURN_MS, BUSY_SHARE * (startedMs - this.#endedMs)));
    const end = startedMs + (busy ? share : TURN_MS);
    // A slice that is scheduled by another one runs after those that already wait.
    do this.#waiting.shift()?.();
    while (this.#waiting.length > 0 && clock.now() < end);
    this.#endedMs = clock.now();
    this.#isScheduled = this.#waiting.length > 0;
    if (this.#isScheduled) scheduler.soon(this.#task);
  }
}
