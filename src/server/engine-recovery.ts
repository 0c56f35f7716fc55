import type { Steps } from '../lib/steps.ts';
import { type EngineControl, EngineFullError } from '../ports/engine.ts';
import type { Logger } from '../ports/logger.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import type { SpaceGauge } from '../ports/space.ts';
import { runYieldingToEnd } from './run-yielding.ts';

const RETRY_MS = 200;

export interface EngineRecoveryOptions {
  readonly engine: EngineControl;
  readonly space: SpaceGauge;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
  /** Called before the engine is closed: reads in progress must stop. */
  readonly suspend: () => void;
  /**
   * Called when the engine accepts writes again: the state in memory must be read again. Nobody reads it before the
   * last step.
   */
  readonly reload: () => Steps<void>;
  /** Called when the engine cannot be opened for another reason than a full disk. */
  readonly failed: (error: Error) => void;
}

/**
 * Recovers the engine after a full disk. A store that failed to write refuses all writes until it is opened again. So
 * this waits for free space and reopens it. Reads continue while it waits and stop only during the reopening.
 */
export class EngineRecovery {
  readonly #options: EngineRecoveryOptions;
  #waiting: (() => void)[] | undefined;
  #isRecovering = false;
  #generation = 0;
  #transition: Promise<unknown> = Promise.resolve();

  constructor(options: EngineRecoveryOptions) {
    this.#options = options;
  }

  get generation(): number {
    return this.#generation;
  }

  /** True from the failed write until the state in memory has been read again. */
  get isRecovering(): boolean {
    return this.#isRecovering;
  }

  get isReopening(): boolean {
    return this.#waiting !== undefined;
  }

  whenOpen(task: () => void): void {
    if (this.#waiting === undefined) task();
    else this.#waiting.push(task);
  }

  begin(): void {
    if (this.#isRecovering) return;
    this.#isRecovering = true;
    // With an exhausted disk quota, the disk still seems to have free space. So retries need a pause.
    this.#options.scheduler.after(RETRY_MS, () => this.#try());
  }

  #try(): void {
    const { engine, scheduler, space } = this.#options;
    const later = (): void => void scheduler.after(RETRY_MS, () => this.#try());
    if (!space.hasRoom) {
      later();
      return;
    }
    // An attempt that fails leaves the store closed, and all reads waiting. So it is made only if writes succeed.
    if (this.isReopening) {
      this.#reopen(later);
      return;
    }
    engine.canGrow().then(
      (canGrow) => (canGrow ? this.#reopen(later) : later()),
      (error: unknown) => this.#failed(error),
    );
  }

  #reopen(later: () => void): void {
    const { engine, logger } = this.#options;
    this.whileClosed(() => engine.reopen()).then(
      () => {
        logger.info('the store is open again');
        this.#isRecovering = false;
      },
      (error: unknown) => {
        if (!(error instanceof EngineFullError)) {
          this.#failed(error);
          return;
        }
        logger.warn('the store cannot be opened again yet', { error: String(error) });
        later();
      },
    );
  }

  #failed(error: unknown): void {
    this.#options.failed(error instanceof Error ? error : new Error(String(error)));
  }

  /**
   * Runs `reopen`, which closes and opens the store, after earlier calls have finished. Reads wait meanwhile. Then the
   * state in memory is read again. If `reopen` rejects, the store stays closed.
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
    await runYieldingToEnd(this.#options.scheduler, reload());
    const waiting = this.#waiting;
    this.#waiting = undefined;
    for (const task of waiting) task();
  }
}
