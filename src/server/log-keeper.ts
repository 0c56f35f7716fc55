import type { AppliedState } from '../apply/applied-state.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Clock } from '../ports/clock.ts';
import { type EngineControl, EngineReopenedError } from '../ports/engine.ts';
import type { LogStore } from '../ports/log-store.ts';
import type { Logger } from '../ports/logger.ts';
import type { MemoryStorage } from '../raft/memory-storage.ts';
import type { Consensus } from './consensus.ts';

export interface LogKeeperOptions {
  readonly consensus: Pick<Consensus, 'applied'>;
  readonly memory: MemoryStorage;
  readonly log: LogStore;
  readonly engine: EngineControl;
  readonly applied: AppliedState;
  /** Entries applied between two releases of the log. */
  readonly snapshotCount: number;
  /** Entries kept in memory behind that, for followers that lag. */
  readonly catchupEntries: number;
  /** There is no other member that could need entries. */
  readonly isAlone: () => boolean;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly failed: (error: Error) => void;
}

/** Entries that a member without others keeps in memory: those it writes young die young. */
const KEPT_ALONE = 512;

/**
 * Keeps the log short. The engine is the snapshot: once its writes are durable, entries applied to it are needed by
 * slow followers alone.
 */
export class LogKeeper {
  readonly #options: LogKeeperOptions;
  #releasedIndex: number;
  #releasing = false;
  /** Snapshots whose receivers will need the entries after them. */
  #holds = 0;

  constructor(options: LogKeeperOptions) {
    this.#options = options;
    this.#releasedIndex = options.memory.firstIndex() - 1;
  }

  /**
   * Keeps all entries from now on in memory until the function returned is called: whoever is being sent a snapshot
   * needs those that follow it, and would otherwise be sent one snapshot after another while writes go on.
   */
  hold(): () => void {
    this.#holds += 1;
    let isReleased = false;
    return () => {
      if (!isReleased) this.#holds -= 1;
      isReleased = true;
    };
  }

  /** Called as entries are applied. */
  applied(): void {
    const { applied, snapshotCount, failed, memory, isAlone } = this.#options;
    if (applied.index - memory.firstIndex() >= KEPT_ALONE && isAlone()) {
      // Whoever joins later is sent the store as it will be then.
      memory.createSnapshot(applied.index, applied.confState, undefined);
      this.#compact(applied.index);
    }
    if (this.#releasing || applied.index - this.#releasedIndex < snapshotCount) return;
    this.#releasing = true;
    this.#release().then(
      () => {
        this.#releasing = false;
      },
      (error: unknown) => {
        this.#releasing = false;
        // The store is being closed or replaced: what it will hold then is released later.
        if (error instanceof EngineReopenedError) return;
        failed(error instanceof Error ? error : new Error(String(error)));
      },
    );
  }

  async #release(): Promise<void> {
    const { applied, engine, log, memory, catchupEntries, clock, metrics, logger } = this.#options;
    const { index, term, confState } = applied;
    const startedMs = clock.now();
    await engine.syncLog();
    metrics.disk.snapFsync.observe((clock.now() - startedMs) / 1000);
    await log.release({ index, term, confState });
    metrics.disk.snapSaveTotal.observe((clock.now() - startedMs) / 1000);
    memory.createSnapshot(index, confState, undefined);
    if (index > catchupEntries && this.#holds === 0) this.#compact(index - catchupEntries);
    this.#releasedIndex = index;
    logger.info('released the log', { 'snapshot-index': index, 'compact-index': memory.firstIndex() - 1 });
  }

  /**
   * Raft hears that entries are applied once all that it handed out together are, slices of which the engine may have
   * taken long before. It reads from its own applied index on, so nothing beyond that may go.
   */
  #compact(index: number): void {
    const { consensus, memory } = this.#options;
    memory.compact(Math.min(index, consensus.applied));
  }
}
