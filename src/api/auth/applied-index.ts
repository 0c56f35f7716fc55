import type { Scheduler } from '../../ports/scheduler.ts';

interface Waiting {
  readonly index: number;
  readonly resolve: (isApplied: boolean) => void;
  readonly cancel: () => void;
}

/** Requests that carry a token of an entry that is not applied yet. A client may use its token at any member. */
export class AppliedIndexWait {
  readonly #applied: () => number;
  readonly #scheduler: Scheduler;
  readonly #timeoutMs: number;
  readonly #waiting = new Set<Waiting>();

  constructor(applied: () => number, scheduler: Scheduler, timeoutMs: number) {
    this.#applied = applied;
    this.#scheduler = scheduler;
    this.#timeoutMs = timeoutMs;
  }

  /** Resolves to false if the entry was not applied in time. */
  whenApplied(index: number): boolean | Promise<boolean> {
    if (index <= this.#applied()) return true;
    if (this.#waiting.size >= MAX_WAITING) return false;
    return new Promise((resolve) => {
      const waiting: Waiting = {
        index,
        resolve,
        cancel: this.#scheduler.after(this.#timeoutMs, () => {
          this.#waiting.delete(waiting);
          resolve(false);
        }),
      };
      this.#waiting.add(waiting);
    });
  }

  /** Call this after entries have been applied. */
  check(): void {
    if (this.#waiting.size === 0) return;
    const applied = this.#applied();
    for (const waiting of this.#waiting) {
      if (waiting.index > applied) continue;
      this.#waiting.delete(waiting);
      waiting.cancel();
      waiting.resolve(true);
    }
  }
}

/** Limits the wait, since a client can invent a token of an entry far ahead. */
const MAX_WAITING = 10_000;
