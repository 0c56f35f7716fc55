import type { Clock } from '../ports/clock.ts';

/** How long a compaction waits for a client that reads nothing, in milliseconds. */
export const IDLE_MS = 30_000;
/** How long it waits for a client that reads slowly, in milliseconds. */
export const LONGEST_MS = 5 * 60_000;

/** A read under way, whose values must stay until it is released. */
export interface ActiveRead {
  /** The client has read something. */
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
 * The reads under way that a compaction could take values from. A compaction does not disturb reads at its own revision
 * or a later one: what was the latest value at their revision stays. It waits for reads at earlier revisions, but only
 * as long as a client that reads steadily needs. Otherwise one idle client would make the history grow.
 */
export class ActiveReads {
  readonly #clock: Clock;
  readonly #holds = new Set<Held>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * @param revision what the read sees; 0 if it needs all there is
   * @param abandon ends the read, where it depends on a client; the hold is released by then
   */
  add(revision: number, abandon?: () => void): ActiveRead {
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

  /** Whether a compaction at a revision has to wait. Reads that have exceeded their time are abandoned. */
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
