import { defined } from '../../lib/assert.ts';
import type { Scheduler } from '../../ports/scheduler.ts';
import { errors } from '../../wire/errors.ts';

export interface LoginLimiterOptions {
  /** Logins per second; 0 means no limit. */
  readonly perSecond: number;
  readonly scheduler: Scheduler;
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
}

/** How many logins may wait. This is twenty seconds of work at the default rate. Further logins are refused. */
const MAX_WAITING = 10_000;
/**
 * How often waiting logins are admitted, in milliseconds. Several logins together share one write of the raft log.
 */
const STEP_MS = 20;
/** How many logins are admitted at once after a quiet time, as a part of those of one second. */
const BURST_OF_SECOND = 0.1;

interface Waiting {
  readonly isWanted: () => boolean;
  readonly resolve: () => void;
}

/**
 * Limits the rate of logins and admits them in order. A login is a raft entry, as a put is. Without a limit, clients
 * that all reconnect at once, or an attacker, would leave no time for other requests.
 */
export class LoginLimiter {
  readonly #perMs: number;
  readonly #burst: number;
  readonly #scheduler: Scheduler;
  readonly #now: () => number;
  #allowance: number;
  #countedAt: number;
  #waiting: Waiting[] = [];
  /** Entries of `#waiting` before this index are done. */
  #next = 0;
  #isScheduled = false;

  constructor({ perSecond, scheduler, now }: LoginLimiterOptions) {
    this.#perMs = perSecond === 0 ? Infinity : perSecond / 1000;
    this.#burst = Math.max(1, perSecond * BURST_OF_SECOND);
    this.#scheduler = scheduler;
    this.#now = now;
    this.#allowance = this.#burst;
    this.#countedAt = now();
  }

  /**
   * Resolves when the login is admitted. Rejects with EtcdError if too many logins wait.
   *
   * @param isWanted returns false when the caller has left; the login is then skipped
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
        'each place of the queue holds a login',
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
