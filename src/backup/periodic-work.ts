import type { Scheduler } from '../ports/scheduler.ts';

/** Looks at each interval whether there is work, and does one piece of it at a time. */
export class PeriodicWork {
  readonly #stopTimer: () => void;
  #isStopped = false;
  #running: Promise<void> | undefined;

  /**
   * @param start begins the work if there is any, and returns its end, which must not be a rejection. It is not called
   * while work is under way.
   */
  constructor(
    scheduler: Pick<Scheduler, 'every'>,
    intervalMs: number,
    start: () => Promise<void> | undefined,
  ) {
    this.#stopTimer = scheduler.every(intervalMs, () => {
      if (this.#running !== undefined) return;
      this.#running = start()?.finally(() => {
        this.#running = undefined;
      });
    });
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Resolves when no work is under way. */
  async idle(): Promise<void> {
    await this.#running;
  }

  /** Begins no more work. Resolves when the work that is under way has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopTimer();
    await this.#running;
  }
}
