import type { Clock } from '../ports/clock.ts';

/** Time that a compaction waits for a client that has stopped reading, in milliseconds. */
export const IDLE_MS = 30_000;
/** Time that a compaction waits for a client that reads slowly, in milliseconds. */
export const LONGEST_MS = 5 * 60_000;

/** A read in progress. Its values must stay in the store until it is released. */
export interface ActiveRead {
  /** Reports that the client has read something. */
  readonly used: () => void;
  readonly release: () => void;
}

interface ReadState {
  readonly revision: number;
  readonly sinceMs: number;
  usedMs: number;
  readonly abandon: (() => void) | undefined;
}

/**
 * The reads in progress that a compaction could disturb. Reads at the revision of the compaction or later are safe,
 * since the compaction keeps the values that they see. The compaction waits for reads at earlier revisions, but only
 * for a limited time. Otherwise one idle client would make the history grow.
 */
export class ActiveReads {
  readonly #clock: Clock;
  readonly #reads = new Set<ReadState>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * @param revision the revision of the read; 0 if it needs the whole history
   * @param abandon ends a read that depends on a client; the read is already released when this is called
   */
  add(revision: number, abandon?: () => void): ActiveRead {
    const nowMs = this.#clock.now();
    const read: ReadState = { revision, sinceMs: nowMs, usedMs: nowMs, abandon };
    this.#reads.add(read);
    return {
      used: () => {
        read.usedMs = this.#clock.now();
      },
      release: () => {
        this.#reads.delete(read);
      },
    };
  }

  /** Whether a compaction at a revision must wait. Reads that have exceeded their time are abandoned. */
  block(revision: number): boolean {
    const nowMs = this.#clock.now();
    let waits = false;
    for (const read of this.#reads) {
      if (read.revision >= revision) continue;
      const isOverdue = nowMs - read.usedMs > IDLE_MS || nowMs - read.sinceMs > LONGEST_MS;
      if (read.abandon === undefined || !isOverdue) {
        waits = true;
        continue;
      }
      this.#reads.delete(read);
      read.abandon();
    }
    return waits;
  }
}
