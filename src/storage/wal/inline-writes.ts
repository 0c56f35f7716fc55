import type { ThreadTimes } from '../../ports/log-disk.ts';

/** The event loop waits for the disk only if the disk can do a small write in this many milliseconds. */
const QUICK_MS = 1;
/** A single inline write that takes longer on the disk ends inline writes for a while. */
const SLOW_MS = 10;
/** Number of background writes of which the quickest shows how quick the disk is. */
const RECENT_WRITES = 64;
/** Number of background writes that are needed before the first inline write. */
const FIRST_WRITES = 8;
/** Numbers of writes over which the mean durations are estimated. */
const AVERAGED_INLINE = 16;
const AVERAGED_BACKGROUND = 4;
/** One of so many writes that may be inline is in the background, so that their durations stay comparable. */
const COMPARED_WRITES = 64;
/** Milliseconds without inline writes when the disk was slow. Doubled each time, and short again after many writes. */
const REST_MS = 100;
const MAX_REST_MS = 60_000;
const WRITES_TO_FORGET = 1000;
/** The event loop has had nothing to do if it has waited this long for input. */
const WAITED_MS = 0.01;

/**
 * Decides which log writes are inline: done by the event loop, which waits for the disk. That saves two hand-overs
 * between threads, which take longer than a quick disk, and very long when other processes use the processors.
 *
 * - Only on a quick disk. A background write also waits for threads, so the quickest of some counts. Time without a
 *   processor is not counted as time of the disk.
 * - Not after a slow write: inline writes rest for a while, and longer each time. The same if they take more than
 *   `QUICK_MS` on average, unless writes in the background take more than twice as long.
 * - Not twice without a pause: in between, the event loop must have had nothing to do. So a request waits for at most
 *   one inline write, and a busy event loop leaves all writes to the background.
 */
export class InlineWrites {
  readonly #times: ThreadTimes;
  readonly #background: number[] = [];
  #backgroundCount = 0;
  #quickestMs = Infinity;
  /** Moving averages of the milliseconds of a write in the background, and of an inline write on the disk. */
  #backgroundMs = 0;
  #inlineMs = 0;
  #restMs = REST_MS;
  #restUntil = 0;
  #writesSinceRest = 0;
  #untilCompared = COMPARED_WRITES;
  /** Time that the event loop had waited for input at the end of the last inline write. */
  #waitedBefore = 0;

  constructor(times: ThreadTimes) {
    this.#times = times;
  }

  /** Whether the next write is to be inline. Called once for each write. */
  isNext(): boolean {
    if (this.#backgroundCount < FIRST_WRITES || this.#quickestMs > QUICK_MS) return false;
    if (this.#restUntil > 0) {
      if (this.#times.now() < this.#restUntil) return false;
      this.#restUntil = 0;
    }
    if (this.#times.waitedForInput() - this.#waitedBefore < WAITED_MS) return false;
    this.#untilCompared -= 1;
    if (this.#untilCompared > 0) return true;
    this.#untilCompared = COMPARED_WRITES;
    return false;
  }

  /** Runs an inline write. Throws what it throws. @returns its duration in milliseconds */
  run(write: () => void): number {
    const times = this.#times;
    const delayedBefore = times.waitedForProcessor();
    const startedMs = times.now();
    write();
    const endMs = times.now();
    const took = endMs - startedMs;
    const onDisk = took > QUICK_MS ? took - (times.waitedForProcessor() - delayedBefore) : took;
    this.#waitedBefore = times.waitedForInput();
    this.#noteInline(onDisk, endMs);
    return took;
  }

  /** Notes the duration of a small write in the background. */
  noteBackground(took: number): void {
    const background = this.#background;
    background[this.#backgroundCount % RECENT_WRITES] = took;
    this.#backgroundCount += 1;
    this.#quickestMs = Math.min(...background);
    this.#backgroundMs += (took - this.#backgroundMs) / AVERAGED_BACKGROUND;
  }

  #noteInline(onDisk: number, nowMs: number): void {
    this.#inlineMs += (onDisk - this.#inlineMs) / AVERAGED_INLINE;
    if (onDisk <= SLOW_MS && this.#inlineMs <= Math.max(QUICK_MS, this.#backgroundMs / 2)) {
      this.#writesSinceRest += 1;
      if (this.#writesSinceRest === WRITES_TO_FORGET) this.#restMs = REST_MS;
      return;
    }
    this.#writesSinceRest = 0;
    this.#inlineMs = 0;
    this.#restUntil = nowMs + this.#restMs;
    this.#restMs = Math.min(2 * this.#restMs, MAX_REST_MS);
  }
}
