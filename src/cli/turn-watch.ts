import { openSync, readSync } from 'node:fs';
import type { Session, Profiler } from 'node:inspector';
import { PerformanceObserver, performance } from 'node:perf_hooks';
import type { Logger } from '../ports/logger.ts';
import { collectionShare, stackOf } from './turn-stack.ts';

/** Milliseconds of work between two reads of the processor time. Each read is a system call. */
const READ_EVERY_MS = 2;
/** Delay of a report in milliseconds: Node.js reports garbage collections only after the turn in which they ran. */
const REPORT_AFTER_MS = 50;
/** Microseconds between samples of the stack. */
const SAMPLE_EVERY_US = 2_000;
/** Samples are dropped after this time, because they use memory. */
const FORGET_AFTER_MS = 120_000;

/** A turn of the event loop, in milliseconds of `performance.now()`. */
interface LongTurn {
  readonly from: number;
  readonly to: number;
  readonly processorMs: number;
}

/**
 * A mode for tests: reports each turn of the event loop that used more processor time than a bound, with its stack. A
 * turn is everything that runs between two polls for events. Only the processor time of this thread counts, so a busy
 * machine has no influence. Garbage collections do not count either.
 */
export class TurnWatch {
  readonly #boundMs: number;
  readonly #logger: Logger;
  readonly #processorMs: () => number;
  readonly #collections: { readonly from: number; readonly ms: number }[] = [];
  #observer: PerformanceObserver | undefined;
  #session: Session | undefined;
  #sampledSince = 0;
  #turns: LongTurn[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** The last value of the processor time, and the work since then. */
  #readMs: number;
  #workSinceRead = 0;
  #lastActive = 0;
  #stopped = false;

  private constructor(boundMs: number, logger: Logger, processorMs: () => number) {
    this.#boundMs = boundMs;
    this.#logger = logger;
    this.#processorMs = processorMs;
    this.#readMs = processorMs();
  }

  /** @param boundMs milliseconds of processor time that a turn may take */
  static async start(boundMs: number, logger: Logger): Promise<TurnWatch> {
    const watch = new TurnWatch(boundMs, logger, threadProcessorMs());
    const { Session } = await import('node:inspector');
    watch.#observeCollections();
    watch.#session = new Session();
    watch.#session.connect();
    watch.#session.post('Profiler.enable');
    watch.#session.post('Profiler.setSamplingInterval', { interval: SAMPLE_EVERY_US });
    watch.#sample();
    watch.#startTurn();
    watch.#endTurn();
    return watch;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#observer?.disconnect();
    this.#session?.disconnect();
    this.#session = undefined;
  }

  #observeCollections(): void {
    this.#observer = new PerformanceObserver((list) => {
      for (const { startTime, duration } of list.getEntries())
        this.#collections.push({ from: startTime, ms: duration });
      if (this.#turns.length === 0 && this.#collections.length > 1_000) this.#collections.splice(0, 900);
    });
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  /** Runs once per turn, after the callbacks of files and sockets. It does not keep the event loop alive. */
  readonly #endTurn = (): void => {
    if (this.#stopped) return;
    setImmediate(this.#endTurn).unref();
    const { active } = performance.eventLoopUtilization();
    const work = active - this.#lastActive;
    this.#lastActive = active;
    const end = performance.now();
    if (work > this.#boundMs) {
      // All work since the last read may have been before this turn.
      const processorMs = Math.min(work, this.#processorMs() - this.#readMs - this.#workSinceRead);
      if (processorMs > this.#boundMs) this.#keep({ from: end - work, to: end, processorMs });
      this.#startTurn();
      return;
    }
    this.#workSinceRead += work;
    if (this.#workSinceRead > READ_EVERY_MS) this.#startTurn();
  };

  #startTurn(): void {
    // Before the measurement begins: with a large heap it takes more than 100 ms.
    if (this.#turns.length === 0 && performance.now() - this.#sampledSince > FORGET_AFTER_MS)
      this.#restartSampling();
    this.#readMs = this.#processorMs();
    this.#workSinceRead = 0;
    this.#lastActive = performance.eventLoopUtilization().active;
  }

  #keep(turn: LongTurn): void {
    this.#turns.push(turn);
    this.#timer ??= setTimeout(() => this.#report(), REPORT_AFTER_MS).unref();
  }

  #report(): void {
    this.#timer = undefined;
    const turns = this.#turns;
    this.#turns = [];
    const profile = this.#restartSampling();
    for (const turn of turns) {
      const fromUs = monotonicUs(turn.from);
      const toUs = monotonicUs(turn.to);
      // Node.js reports whole collections, but not the steps of incremental ones.
      const sampled = collectionShare(profile, fromUs, toUs) * turn.processorMs;
      const collected = Math.max(this.#collectedIn(turn), sampled);
      if (turn.processorMs - collected <= this.#boundMs) continue;
      this.#logger.warn('turn of the event loop over its bound', {
        'processor-ms': Math.round(turn.processorMs - collected),
        'collection-ms': Math.round(collected),
        'wall-ms': Math.round(turn.to - turn.from),
        'bound-ms': this.#boundMs,
        ...stackOf(profile, fromUs, toUs),
      });
    }
    this.#collections.length = 0;
    this.#startTurn();
  }

  #collectedIn({ from, to }: LongTurn): number {
    return this.#collections
      .filter((collection) => collection.from >= from && collection.from < to)
      .reduce((sum, { ms }) => sum + ms, 0);
  }

  #sample(): void {
    this.#session?.post('Profiler.start');
    this.#sampledSince = performance.now();
  }

  /** Returns the samples so far and starts a new profile. */
  #restartSampling(): Profiler.Profile | undefined {
    let profile: Profiler.Profile | undefined;
    this.#session?.post('Profiler.stop', (_error, result) => {
      profile = result.profile;
    });
    this.#sample();
    return profile;
  }
}

/** Converts to the monotonic clock, which the profiler uses. */
function monotonicUs(performanceMs: number): number {
  return Number(process.hrtime.bigint()) / 1e3 - (performance.now() - performanceMs) * 1e3;
}

/** Reads the processor time of this thread. Linux updates it at each timer tick, so it is exact to about 4 ms. */
function threadProcessorMs(): () => number {
  const descriptor = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r');
  const text = Buffer.alloc(64);
  return () => {
    readSync(descriptor, text, 0, text.length, 0);
    return Number(text.toString('latin1', 0, text.indexOf(' '))) / 1e6;
  };
}
