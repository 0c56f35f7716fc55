import type { EngineControl } from '../ports/engine.ts';
import type { Logger } from '../ports/logger.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import type { SpaceGauge } from '../ports/space.ts';

const RETRY_MS = 200;

export interface EngineRecoveryOptions {
  readonly engine: EngineControl;
  readonly space: SpaceGauge;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
  /** The engine is about to close: readings under way have to stop. */
  readonly suspend: () => void;
  /** The engine takes writes again: what is in memory has to be read anew. */
  readonly reload: () => void;
}

/**
 * Brings an engine back whose disk was full: waits for room, and opens it again, since a store that failed to write
 * refuses everything until then. Reads go on while waiting and stop for the moment of reopening.
 */
export class EngineRecovery {
  readonly #options: EngineRecoveryOptions;
  #waiting: (() => void)[] | undefined;
  #underWay = false;
  #generation = 0;

  constructor(options: EngineRecoveryOptions) {
    this.#options = options;
  }

  get generation(): number {
    return this.#generation;
  }

  get isReopening(): boolean {
    return this.#waiting !== undefined;
  }

  whenOpen(task: () => void): void {
    if (this.#waiting === undefined) task();
    else this.#waiting.push(task);
  }

  begin(): void {
    if (this.#underWay) return;
    this.#underWay = true;
    this.#try();
  }

  #try(): void {
    const { scheduler, space } = this.#options;
    if (!space.hasRoom) {
      scheduler.after(RETRY_MS, () => this.#try());
      return;
    }
    const { engine, logger } = this.#options;
    this.whileClosed(() => engine.reopen()).then(
      () => {
        logger.info('the store is open again');
        this.#underWay = false;
      },
      (error: unknown) => {
        logger.warn('the store cannot be opened again yet', { error: String(error) });
        scheduler.after(RETRY_MS, () => this.#try());
      },
    );
  }

  /**
   * Has the store closed and opened by `reopen`. Nobody reads it meanwhile; then everything in memory is read anew.
   * When that rejects, the store stays closed to all.
   */
  async whileClosed(reopen: () => Promise<void>): Promise<void> {
    const { suspend, reload } = this.#options;
    this.#waiting ??= [];
    this.#generation += 1;
    suspend();
    await reopen();
    const waiting = this.#waiting;
    this.#waiting = undefined;
    reload();
    for (const task of waiting) task();
  }
}
