import type { Clock } from '../ports/clock.ts';
import type { Scheduler } from '../ports/scheduler.ts';

/** Milliseconds that long reads may take of one turn of the event loop. */
const TURN_MS = 1;
/** The least while proposals wait for their result: a put takes several turns, and each waits for its reads. */
const BUSY_TURN_MS = 0.2;
/** Share of the time that long reads get even then: without it, lists would never end under a steady load of puts. */
const BUSY_SHARE = 0.2;

export interface LongReadsOptions {
  readonly clock: Pick<Clock, 'now'>;
  readonly scheduler: Pick<Scheduler, 'soon'>;
  /** Whether writes wait for their result. */
  readonly isBusy: () => boolean;
}

/**
 * Reads too long for one turn of the event loop, each of which asks for its next slice when it has done one. All of
 * them together take about a millisecond of a turn, one slice each in their order. While writes wait they take a fifth of
 * the time: so a write waits for few slices, however many clients list and however much, and lists still end.
 */
export class LongReads {
  readonly #options: LongReadsOptions;
  readonly #waiting: (() => void)[] = [];
  #isScheduled = false;
  /** Others have gone first in this turn. */
  #hasYielded = false;
  #endedMs = 0;
  readonly #task = (): void => this.#run();

  constructor(options: LongReadsOptions) {
    this.#options = options;
  }

  /** Runs `slice`, a few tenths of a millisecond's worth, in one of the next turns. It must not throw. */
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
      // What came in with this turn was scheduled after this task, and goes first.
      this.#hasYielded = true;
      scheduler.soon(this.#task);
      return;
    }
    this.#hasYielded = false;
    const startedMs = clock.now();
    const share = Math.min(TURN_MS, Math.max(BUSY_TURN_MS, BUSY_SHARE * (startedMs - this.#endedMs)));
    const end = startedMs + (busy ? share : TURN_MS);
    // What a slice asks for comes after the others that wait.
    do this.#waiting.shift()?.();
    while (this.#waiting.length > 0 && clock.now() < end);
    this.#endedMs = clock.now();
    this.#isScheduled = this.#waiting.length > 0;
    if (this.#isScheduled) scheduler.soon(this.#task);
  }
}
