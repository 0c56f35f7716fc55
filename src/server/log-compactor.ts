import type { AppliedState } from '../apply/applied-state.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Clock } from '../ports/clock.ts';
import { type EngineControl, EngineReopenedError } from '../ports/engine.ts';
import type { LogSnapshot } from '../ports/log-store.ts';
import type { Logger } from '../ports/logger.ts';
import type { RaftLog } from './consensus.ts';
import type { Member } from './member.ts';

export interface LogCompactorOptions {
  readonly log: RaftLog;
  /** Index of the last snapshot record in the log at the start. Entries before it may be kept for members that lag. */
  readonly releasedIndex: number;
  readonly engine: EngineControl;
  readonly applied: AppliedState;
  /** Entries applied between two releases of the log, if it does not grow by `RELEASE_BYTES` before. */
  readonly snapshotCount: number;
  /** Entries kept in memory before that, for slow followers. */
  readonly catchupEntries: number;
  /** Whether the cluster has only this member, so that no other can need entries. */
  readonly isAlone: () => boolean;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly failed: (error: Error) => void;
}

/**
 * The log is also released after so many bytes: with 10,000 entries of 64 KB between two releases, a start after a crash
 * would read 640 MB.
 */
const RELEASE_BYTES = 16 << 20;

/** Entries that the only member of a cluster keeps in memory. A short list stays in the garbage collector's young space. */
const KEPT_ALONE = 512;

/**
 * Truncates the log. The engine is the snapshot: once its writes are durable, only slow followers need the entries
 * applied to it.
 */
export class LogCompactor {
  readonly #options: LogCompactorOptions;
  #releasedIndex: number;
  #releasing = false;
  /** Number of snapshots in transfer. Their receivers will need the entries after the snapshot. */
  #holds = 0;

  constructor(options: LogCompactorOptions) {
    this.#options = options;
    // A log without the last applied entry was released up to that, and begins after it.
    this.#releasedIndex = Math.max(options.releasedIndex, options.log.firstIndex - 1);
  }

  /**
   * Keeps all entries from now on in memory until the returned function is called. The receiver of a snapshot needs the
   * entries after it. Otherwise, under writes, it would need one snapshot after another.
   */
  hold(): () => void {
    this.#holds += 1;
    let isReleased = false;
    return () => {
      if (!isReleased) this.#holds -= 1;
      isReleased = true;
    };
  }

  /** Called after entries were applied. */
  applied(): void {
    const { applied, failed, log, isAlone } = this.#options;
    if (applied.index - log.firstIndex >= KEPT_ALONE && isAlone()) this.#removeEntries(applied);
    if (this.#releasing || !this.#isReleaseDue()) return;
    this.#releasing = true;
    this.#release().then(
      () => {
        this.#releasing = false;
      },
      (error: unknown) => {
        this.#releasing = false;
        // The store is being closed or replaced. The log is released later.
        if (error instanceof EngineReopenedError) return;
        failed(error instanceof Error ? error : new Error(String(error)));
      },
    );
  }

  #isReleaseDue(): boolean {
    const { applied, snapshotCount, log } = this.#options;
    const entries = applied.index - this.#releasedIndex;
    return entries >= snapshotCount || (entries > 0 && log.unreleasedBytes >= RELEASE_BYTES);
  }

  async #release(): Promise<void> {
    const { applied, engine, log, clock, metrics, logger } = this.#options;
    const { index, term, confState } = applied;
    const startedMs = clock.now();
    await engine.syncLog();
    metrics.disk.snapFsync.observe((clock.now() - startedMs) / 1000);
    await log.release({ index, term, confState });
    metrics.disk.snapSaveTotal.observe((clock.now() - startedMs) / 1000);
    // Large entries of an only member do not wait until there are `KEPT_ALONE` of them.
    this.#removeEntries({ index, confState });
    this.#releasedIndex = index;
    logger.info('released the log', { 'snapshot-index': index, 'compact-index': log.firstIndex - 1 });
  }

  /** Removes the entries from memory that no member will need. One that joins an only member is sent a snapshot. */
  #removeEntries({ index, confState }: Pick<LogSnapshot, 'index' | 'confState'>): void {
    const { log, catchupEntries, isAlone } = this.#options;
    const shared = this.#holds === 0 ? Math.max(0, index - catchupEntries) : 0;
    log.removeUpTo(isAlone() ? index : shared, { index, confState });
  }
}

/** The compactor of a member's log, with the limits of its configuration. */
export function openLogCompactor(
  member: Pick<Member, 'config' | 'engine' | 'applied' | 'clock' | 'metrics' | 'cluster'>,
  rest: Pick<LogCompactorOptions, 'log' | 'releasedIndex' | 'logger' | 'failed'>,
): LogCompactor {
  const { config, engine, applied, clock, metrics, cluster } = member;
  return new LogCompactor({
    ...rest,
    engine,
    applied,
    clock,
    metrics,
    snapshotCount: config.snapshotCount,
    catchupEntries: config.snapshotCatchupEntries,
    isAlone: () => cluster.members().length === 1,
  });
}
