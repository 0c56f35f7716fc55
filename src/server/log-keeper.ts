import type { AppliedState } from '../apply/applied-state.ts';
import type { EngineControl } from '../ports/engine.ts';
import type { LogStore } from '../ports/log-store.ts';
import type { Logger } from '../ports/logger.ts';
import type { MemoryStorage } from '../raft/memory-storage.ts';
import type { RaftLoop } from './raft-loop.ts';

export interface LogKeeperOptions {
  readonly loop: RaftLoop;
  readonly memory: MemoryStorage;
  readonly log: LogStore;
  readonly engine: EngineControl;
  readonly applied: AppliedState;
  /** Entries applied between two releases of the log. */
  readonly snapshotCount: number;
  /** Entries kept in memory behind that, for followers that lag. */
  readonly catchupEntries: number;
  readonly logger: Logger;
  readonly failed: (error: Error) => void;
}

/**
 * Keeps the log short. The engine is the snapshot: once its writes are durable, entries applied to it are needed by
 * slow followers alone.
 */
export class LogKeeper {
  readonly #options: LogKeeperOptions;
  #releasedIndex: number;
  #releasing = false;

  constructor(options: LogKeeperOptions) {
    this.#options = options;
    this.#releasedIndex = options.memory.firstIndex() - 1;
  }

  /** Called as entries are applied. */
  applied(): void {
    const { applied, snapshotCount, failed } = this.#options;
    if (this.#releasing || applied.index - this.#releasedIndex < snapshotCount) return;
    this.#releasing = true;
    this.#release().then(
      () => {
        this.#releasing = false;
      },
      (error: unknown) => failed(error instanceof Error ? error : new Error(String(error))),
    );
  }

  async #release(): Promise<void> {
    const { applied, engine, log, memory, catchupEntries, logger, loop } = this.#options;
    const { index, term, confState } = applied;
    await engine.syncLog();
    // What the log begins with is committed, and so must say its hard state, written before the mark.
    const { hardState } = loop.node.status();
    log.append({ entries: [], hardState }, () => undefined);
    await log.release({ index, term, confState });
    memory.createSnapshot(index, confState, undefined);
    memory.compact(Math.max(0, index - catchupEntries));
    this.#releasedIndex = index;
    logger.info('released the log', { 'snapshot-index': index, 'compact-index': memory.firstIndex() - 1 });
  }
}
