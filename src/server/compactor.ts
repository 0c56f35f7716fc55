import { CompactionHashes } from './compaction-hashes.ts';
import type { HashRows } from './hash-store.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { CompactionJob, type RemovalObserver } from '../mvcc/compaction.ts';
import type { MvccStore } from '../mvcc/store.ts';
import { EngineFullError } from '../ports/engine.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import { type ActiveRead, ActiveReads } from './active-reads.ts';

export interface CompactorOptions {
  readonly store: MvccStore;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Revisions visited in one batch. */
  readonly batchLimit: number;
  readonly hashRows: HashRows;
  /** Pause between batches. */
  readonly sleepMs: number;
  /** Called for an unexpected error. */
  readonly failed: (error: unknown) => void;
  /** The disk was full and nothing of the batch was written. The compaction starts again after a pause. */
  readonly writeFailed: (error: EngineFullError) => void;
}

/** A batch must not block the event loop. A larger batch limit is split into several batches. */
const MAX_SLICE = 50;
/** A timer is not shorter. Batches between shorter pauses follow each other in the next turns. */
const MIN_PAUSE_MS = 1;
const WRITE_RETRY_MS = 1000;
/** Interval at which a waiting compaction checks for active reads. */
const BLOCKED_PAUSE_MS = 10;

/** Removes compacted revisions from the store, one compaction after another, in small batches between other work. */
export class Compactor {
  readonly #options: CompactorOptions;
  readonly hashes = new CompactionHashes();
  /** Observes the removed revisions. Set it before the first compaction. */
  onRemoved: RemovalObserver | undefined;
  readonly #queue: number[] = [];
  /** Revision of an interrupted compaction. Part of its rows are gone, so its hash would differ from other members. */
  #interruptedRevision: number | undefined;
  #waiting: { revision: number; done: () => void }[] = [];
  #job: CompactionJob | undefined;
  #startedMs = 0;
  #cancelPause: (() => void) | undefined;
  /** Pauses for batches that were too short for a timer. */
  #owedMs = 0;
  readonly #reads: ActiveReads;
  #hashing = false;
  /** Incremented for each compaction, to detect results of one that was dropped. */
  #epoch = 0;
  #stopped = false;

  constructor(options: CompactorOptions) {
    this.#options = options;
    this.#reads = new ActiveReads(options.clock);
  }

  /** Continues a compaction that a restart interrupted. */
  resume(): void {
    const { compactRevision, finishedRevision } = this.#options.store.meta;
    if (compactRevision > finishedRevision) {
      this.#interruptedRevision = compactRevision;
      this.start(compactRevision);
    } else this.#settle(finishedRevision);
  }

  start(revision: number): void {
    this.#queue.push(revision);
    if (this.#job === undefined && this.#cancelPause === undefined && !this.#hashing) this.#next();
  }

  /** Calls back when the compaction at this revision has removed everything. */
  whenDone(revision: number, done: () => void): void {
    if (this.#options.store.meta.finishedRevision >= revision) done();
    else this.#waiting.push({ revision, done });
  }

  /** Registers a long read. What it sees is not removed until it is released or abandoned; see `ActiveReads.add`. */
  hold(revision: number, abandon?: () => void): ActiveRead {
    return this.#reads.add(revision, abandon);
  }

  /** Called before the store is closed. `resume` continues the compaction. */
  suspend(): void {
    this.#cancelPause?.();
    this.#cancelPause = undefined;
    this.#job?.cancel();
    this.#job = undefined;
    this.#hashing = false;
    this.#epoch += 1;
    this.#queue.length = 0;
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelPause?.();
    this.#job?.cancel();
  }

  #next(): void {
    const revision = this.#queue.shift();
    if (revision === undefined || this.#stopped) return;
    const { store, clock } = this.#options;
    if (revision <= store.meta.finishedRevision) {
      this.#next();
      return;
    }
    this.#startedMs = clock.now();
    const epoch = ++this.#epoch;
    const begin = (): void => {
      if (epoch !== this.#epoch || this.#stopped) return;
      this.#job ??= new CompactionJob(store, revision, this.onRemoved);
      this.#pause(0);
    };
    this.#hashing = true;
    this.#hash(revision)
      .catch((error: unknown) => {
        this.#options.logger.warn('failed to hash the compacted history', { revision, error: String(error) });
      })
      .finally(() => {
        if (epoch === this.#epoch) this.#hashing = false;
        begin();
      })
      .catch((error: unknown) => this.#options.failed(error));
  }

  /** Computes the hash of a compaction, before it removes anything and after all earlier compactions have finished. */
  async #hash(revision: number): Promise<void> {
    const { store, hashRows, logger } = this.#options;
    const { finishedRevision } = store.meta;
    if (revision === this.#interruptedRevision) {
      logger.info('skipped the hash of a compaction that was interrupted', { 'compact-revision': revision });
      return;
    }
    const scope = {
      engine: store.engine,
      revision,
      compactRevision: finishedRevision,
      finishedRevision,
      isCompaction: true,
    };
    const hash = await hashRows(scope, () => undefined);
    this.hashes.add(hash);
    logger.info('storing new hash', {
      hash: hash.hash,
      revision: hash.revision,
      'compact-revision': hash.compactRevision,
    });
  }

  #pause(delayMs: number): void {
    this.#cancelPause = this.#options.scheduler.after(delayMs, () => {
      this.#cancelPause = undefined;
      this.#step();
    });
  }

  /** Goes on after the pause for the batches since the last one, or in the next turn if it is still too short. */
  #continue(): void {
    if (this.#owedMs >= MIN_PAUSE_MS) {
      const pauseMs = this.#owedMs;
      this.#owedMs = 0;
      this.#pause(pauseMs);
      return;
    }
    const epoch = this.#epoch;
    this.#options.scheduler.soon(() => {
      if (epoch === this.#epoch) this.#step();
    });
  }

  #step(): void {
    const job = this.#job;
    if (job === undefined || this.#stopped) return;
    const { store, clock, metrics, batchLimit, sleepMs } = this.#options;
    if (this.#reads.block(job.revision) || store.isScannedBelow(job.revision)) {
      this.#pause(Math.max(sleepMs, BLOCKED_PAUSE_MS));
      return;
    }
    const startedMs = clock.now();
    const removedBefore = job.removed;
    const batch = store.engine.batch();
    const count = Math.min(batchLimit, MAX_SLICE);
    const done = job.step(batch, count);
    try {
      store.engine.write(batch);
    } catch (error) {
      if (!(error instanceof EngineFullError)) throw error;
      this.#retryLater(job, error);
      return;
    }
    metrics.mvcc.compactionPauseMs.observe(clock.now() - startedMs);
    metrics.mvcc.compactionKeys += job.removed - removedBefore;
    if (!done) {
      this.#owedMs += (sleepMs * count) / batchLimit;
      this.#continue();
      return;
    }
    this.#finish(job);
  }

  #retryLater(job: CompactionJob, error: EngineFullError): void {
    job.cancel();
    this.#job = undefined;
    this.#interruptedRevision = job.revision;
    this.#queue.unshift(job.revision);
    this.#options.writeFailed(error);
    this.#cancelPause = this.#options.scheduler.after(WRITE_RETRY_MS, () => {
      this.#cancelPause = undefined;
      this.#next();
    });
  }

  #finish(job: CompactionJob): void {
    const { clock, metrics, logger } = this.#options;
    const tookMs = clock.now() - this.#startedMs;
    metrics.mvcc.compactionTotalMs.observe(tookMs);
    metrics.mvcc.compactionLastSeconds = clock.wall() / 1000;
    logger.info('finished scheduled compaction', {
      'compact-revision': job.revision,
      took: `${tookMs.toFixed(3)}ms`,
      removed: job.removed,
    });
    this.#job = undefined;
    this.#settle(job.revision);
    this.#next();
  }

  #settle(finished: number): void {
    const done = this.#waiting.filter(({ revision }) => revision <= finished);
    this.#waiting = this.#waiting.filter(({ revision }) => revision > finished);
    for (const waiter of done) waiter.done();
  }
}
