import type { Clock } from '../ports/clock.ts';
import type { Scheduler } from '../ports/scheduler.ts';

/** While other calls wait, a call whose client reads nothing for this many milliseconds loses its slot. */
export const IDLE_MS = 30_000;
const CHECK_MS = 1_000;

/** A slot that a call holds. */
export interface Slot {
  /** Call this when the client has read something. */
  readonly used: () => void;
  /** Idempotent. */
  readonly release: () => void;
}

interface Holder {
  usedMs: number;
  readonly abandon: (() => void) | undefined;
}

interface Waiting {
  readonly granted: (slot: Slot) => void;
  readonly abandon: (() => void) | undefined;
}

/**
 * Limits how many calls of a kind run at a time. The others wait in a queue. It is for calls that each use a thread
 * or much disk bandwidth.
 */
export class Slots {
  readonly #limit: number;
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #holders = new Set<Holder>();
  readonly #waiting = new Set<Waiting>();
  #stopChecking: (() => void) | undefined;

  /** @param limit how many calls run at a time, at least one */
  constructor(limit: number, { clock, scheduler }: { clock: Clock; scheduler: Scheduler }) {
    this.#limit = Math.max(1, limit);
    this.#clock = clock;
    this.#scheduler = scheduler;
  }

  /**
   * Asks for a slot.
   *
   * @param granted called with the slot, at once or later
   * @param abandon ends a call whose client reads nothing; its slot is given to another call then
   * @returns leaves the queue
   */
  take(granted: (slot: Slot) => void, abandon?: () => void): () => void {
    const waiting = { granted, abandon };
    this.#waiting.add(waiting);
    this.#grant();
    if (this.#waiting.size > 0)
      this.#stopChecking ??= this.#scheduler.every(CHECK_MS, () => this.#takeIdleSlots());
    return () => {
      this.#waiting.delete(waiting);
      this.#stopIfIdle();
    };
  }

  #grant(): void {
    for (const waiting of this.#waiting) {
      if (this.#holders.size >= this.#limit) break;
      this.#waiting.delete(waiting);
      const { granted, abandon } = waiting;
      const holder = { usedMs: this.#clock.now(), abandon };
      this.#holders.add(holder);
      granted({
        used: () => {
          holder.usedMs = this.#clock.now();
        },
        release: () => this.#release(holder),
      });
    }
    this.#stopIfIdle();
  }

  #release(holder: Holder): void {
    if (this.#holders.delete(holder)) this.#grant();
  }

  /** Takes slots from calls with idle clients, as many as other calls wait for. */
  #takeIdleSlots(): void {
    const nowMs = this.#clock.now();
    const idle = [...this.#holders].filter(
      ({ abandon, usedMs }) => abandon !== undefined && nowMs - usedMs > IDLE_MS,
    );
    for (const holder of idle.slice(0, this.#waiting.size)) {
      holder.abandon?.();
      this.#release(holder);
    }
  }

  #stopIfIdle(): void {
    if (this.#waiting.size > 0) return;
    this.#stopChecking?.();
    this.#stopChecking = undefined;
  }
}
