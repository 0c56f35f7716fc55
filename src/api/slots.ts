import type { Clock } from '../ports/clock.ts';
import type { Scheduler } from '../ports/scheduler.ts';

/** While calls wait, one whose client takes nothing for this long gives its place to the next, in milliseconds. */
export const IDLE_MS = 30_000;
const LOOK_MS = 1_000;

/** A place that a call has. */
export interface Slot {
  /** The client has taken something. */
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
 * Bounds how many calls of a kind run at a time; the others wait in line. For calls that take a thread, or much of the
 * disk, each.
 */
export class Slots {
  readonly #limit: number;
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #holders = new Set<Holder>();
  readonly #waiting = new Set<Waiting>();
  #stopLooking: (() => void) | undefined;

  /** @param limit calls at a time, at least one */
  constructor(limit: number, { clock, scheduler }: { clock: Clock; scheduler: Scheduler }) {
    this.#limit = Math.max(1, limit);
    this.#clock = clock;
    this.#scheduler = scheduler;
  }

  /**
   * Asks for a place.
   *
   * @param granted called with it, at once or later
   * @param abandon ends a call whose client takes nothing; the place is given away by then
   * @returns leaves the line
   */
  take(granted: (slot: Slot) => void, abandon?: () => void): () => void {
    const waiting = { granted, abandon };
    this.#waiting.add(waiting);
    this.#grant();
    if (this.#waiting.size > 0) this.#stopLooking ??= this.#scheduler.every(LOOK_MS, () => this.#look());
    return () => {
      this.#waiting.delete(waiting);
      this.#lookNoFurther();
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
    this.#lookNoFurther();
  }

  #release(holder: Holder): void {
    if (this.#holders.delete(holder)) this.#grant();
  }

  /** Takes places from those whose clients are idle, as many as are waited for. */
  #look(): void {
    const nowMs = this.#clock.now();
    const idle = [...this.#holders].filter(
      ({ abandon, usedMs }) => abandon !== undefined && nowMs - usedMs > IDLE_MS,
    );
    for (const holder of idle.slice(0, this.#waiting.size)) {
      holder.abandon?.();
      this.#release(holder);
    }
  }

  #lookNoFurther(): void {
    if (this.#waiting.size > 0) return;
    this.#stopLooking?.();
    this.#stopLooking = undefined;
  }
}
