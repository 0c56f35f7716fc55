import type { Clock } from '../ports/clock.ts';

/** A compaction waits this long for a client that takes nothing, in milliseconds. */
export const IDLE_MS = 30_000;
/** And this long for one that takes ever so little. */
export const LONGEST_MS = 5 * 60_000;

/** A read under way, whose values must stay until it is released. */
export interface ReadHold {
  /** The client has taken something. */
  readonly used: () => void;
  readonly release: () => void;
}

interface Held {
  readonly revision: number;
  readonly sinceMs: number;
  usedMs: number;
  readonly abandon: (() => void) | undefined;
}

/**
 * The reads that a compaction would take values from. One at a revision no compaction has reached is not disturbed:
 * what was the latest at its revision is not superseded before it. The others are waited for, but no longer than
 * clients that read what they asked for need, lest history grows for one that does not.
 */
export class ReadHolds {
  readonly #clock: Clock;
  readonly #holds = new Set<Held>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * @param revision what the read sees; 0 if it needs all there is
   * @param abandon ends the read, where it depends on a client; the hold is released by then
   */
  add(revision: number, abandon?: () => void): ReadHold {
    const nowMs = this.#clock.now();
    const held: Held = { revision, sinceMs: nowMs, usedMs: nowMs, abandon };
    this.#holds.add(held);
    return {
      used: () => {
        held.usedMs = this.#clock.now();
      },
      release: () => {
        this.#holds.delete(held);
      },
    };
  }

  /** Whether a compaction at a revision has to wait. Reads that have had their time are abandoned. */
  hold(revision: number): boolean {
    const nowMs = this.#clock.now();
    let waits = false;
    for (const held of this.#holds) {
      if (held.revision >= revision) continue;
      const isOverdue = nowMs - held.usedMs > IDLE_MS || nowMs - held.sinceMs > LONGEST_MS;
      if (held.abandon === undefined || !isOverdue) {
        waits = true;
        continue;
      }
      this.#holds.delete(held);
      held.abandon();
    }
    return waits;
  }
}
