import { defined } from '../../lib/assert.ts';
import type { Scheduler } from '../../ports/scheduler.ts';
import { errors } from '../../wire/errors.ts';

export interface LoginPaceOptions {
  /** Logins begun in a second; 0 is no limit. */
  readonly perSecond: number;
  readonly scheduler: Scheduler;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
}

/** Logins waiting beyond which further ones are refused: twenty seconds of work at the usual pace. */
const MAX_WAITING = 10_000;
/** Waiting logins are let through this often, in milliseconds: several together share a write of the log. */
const STEP_MS = 20;
/** Logins let through at once after a quiet time, as a part of a second's. */
const BURST_OF_SECOND = 0.1;

interface Waiting {
  readonly isWanted: () => boolean;
  readonly resolve: () => void;
}

/**
 * Lets logins through at a bounded pace, in their order. A login goes through the log as a put does, and clients that
 * all come back at once, or mean harm, would otherwise leave no time to those that are logged in.
 */
export class LoginPace {
  readonly #perMs: number;
  readonly #burst: number;
  readonly #scheduler: Scheduler;
  readonly #now: () => number;
  #allowance: number;
  #countedAt: number;
  #waiting: Waiting[] = [];
  /** Those of `#waiting` before this one have gone. */
  #next = 0;
  #isScheduled = false;

  constructor({ perSecond, scheduler, now }: LoginPaceOptions) {
    this.#perMs = perSecond === 0 ? Infinity : perSecond / 1000;
    this.#burst = Math.max(1, perSecond * BURST_OF_SECOND);
    this.#scheduler = scheduler;
    this.#now = now;
    this.#allowance = this.#burst;
    this.#countedAt = now();
  }

  /**
   * Resolves when it is the login's turn. Rejects with EtcdError where too many wait.
   *
   * @param isWanted false once nobody waits for the login any more: it then takes no turn from others
   */
  async pass(isWanted: () => boolean): Promise<void> {
    if (this.#perMs === Infinity) return;
    const waits = this.#waiting.length - this.#next;
    if (waits === 0 && this.#take()) return;
    if (waits >= MAX_WAITING) throw errors.RequestTooManyRequests;
    await new Promise<void>((resolve) => {
      this.#waiting.push({ isWanted, resolve });
      this.#schedule();
    });
  }

  #take(): boolean {
    const now = this.#now();
    this.#allowance = Math.min(this.#burst, this.#allowance + (now - this.#countedAt) * this.#perMs);
    this.#countedAt = now;
    if (this.#allowance < 1) return false;
    this.#allowance -= 1;
    return true;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#scheduler.after(STEP_MS, () => {
      this.#isScheduled = false;
      this.#release();
    });
  }

  #release(): void {
    while (this.#next < this.#waiting.length) {
      const { isWanted, resolve } = defined(
        this.#waiting[this.#next],
        'a login waits at each place of the line',
      );
      if (isWanted() && !this.#take()) break;
      this.#next += 1;
      resolve();
    }
    if (this.#next === this.#waiting.length) {
      this.#waiting = [];
      this.#next = 0;
      return;
    }
    if (this.#next > MAX_WAITING) {
      this.#waiting = this.#waiting.slice(this.#next);
      this.#next = 0;
    }
    this.#schedule();
  }
}
