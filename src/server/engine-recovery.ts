import { type EngineControl, EngineFullError } from '../ports/engine.ts';
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
  /** The engine cannot be opened, for another reason than a full disk. */
  readonly failed: (error: Error) => void;
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
  #transition: Promise<unknown> = Promise.resolve();

  constructor(options: EngineRecoveryOptions) {
    this.#options = options;
  }

  get generation(): number {
    return this.#generation;
  }

  /** From a write that the disk refused until state in memory is read anew. */
  get isUnderWay(): boolean {
    return this.#underWay;
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
    // Where a quota ran out, the disk itself seems to have room: trying at once would take the whole thread.
    this.#options.scheduler.after(RETRY_MS, () => this.#try());
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
        if (!(error instanceof EngineFullError)) {
          this.#options.failed(error instanceof Error ? error : new Error(String(error)));
          return;
        }
        logger.warn('the store cannot be opened again yet', { error: String(error) });
        scheduler.after(RETRY_MS, () => this.#try());
      },
    );
  }

  /**
   * Has the store closed and opened by `reopen`, after earlier calls' turns. Nobody reads it meanwhile; then everything
   * in memory is read anew. When that rejects, the store stays closed to all.
   */
  whileClosed(reopen: () => Promise<void>): Promise<void> {
    const run = this.#transition.then(() => this.#exchange(reopen));
    this.#transition = run.catch(() => undefined);
    return run;
  }

  async #exchange(reopen: () => Promise<void>): Promise<void> {
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
