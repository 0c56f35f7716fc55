import { entrySize } from '../raft/entry-size.ts';
import type { MemoryStorage } from '../raft/memory-storage.ts';
import type { Consensus } from './consensus.ts';

/** Memory of an entry besides its encoded bytes, roughly. */
const ENTRY_OVERHEAD_BYTES = 200;

export interface LaggingMembersOptions {
  readonly consensus: Pick<Consensus, 'status'>;
  readonly memory: MemoryStorage;
  /** Maximum bytes of entries kept for members that lag. */
  readonly maxBytes: number;
}

/**
 * Decides which entries a leader keeps for members that lag.
 *
 * A member that was restarted under load lacks more entries than `--snapshot-catchup-entries`. It is up again sooner if it
 * gets these entries than if it gets a snapshot of the whole store, and then the entries written meanwhile.
 */
export class LaggingMembers {
  readonly #options: LaggingMembersOptions;
  #term = 0;
  /** The entry before the first one that the log had when this member was elected. */
  #heldAtElection = 0;

  constructor(options: LaggingMembersOptions) {
    this.#options = options;
  }

  /**
   * Returns the last index that can be removed from the log.
   *
   * @param index the last index that could be removed if no member lagged
   */
  removable(index: number): number {
    const { maxBytes } = this.#options;
    if (maxBytes === 0) return index;
    const needed = this.#lowestMatch();
    return needed < index && this.#fits(needed + 1, index + 1) ? needed : index;
  }

  /**
   * Returns the lowest index up to which a member has the log, of the members that the log can still bring up to date.
   * Infinity if there are none, or if this member does not lead.
   */
  #lowestMatch(): number {
    const { consensus, memory } = this.#options;
    const { hardState, progress } = consensus.status();
    const held = memory.firstIndex() - 1;
    if (hardState.term !== this.#term) {
      this.#term = hardState.term;
      this.#heldAtElection = held;
    }
    let lowest = Infinity;
    for (const { match } of progress.values()) {
      // The leader does not know the log of a member that has not answered since the election. If the member has just been
      // stopped, it needs the entries since then.
      const known = match === 0 ? this.#heldAtElection : match;
      if (known >= held) lowest = Math.min(lowest, known);
    }
    return lowest;
  }

  /** Whether the entries from `from` (inclusive) to `to` (exclusive) are within the limit. */
  #fits(from: number, to: number): boolean {
    const { memory, maxBytes } = this.#options;
    const entries = memory.entries(from, to, Infinity);
    if (!Array.isArray(entries)) return false;
    let bytes = 0;
    for (const entry of entries) {
      bytes += entrySize(entry) + ENTRY_OVERHEAD_BYTES;
      if (bytes > maxBytes) return false;
    }
    return true;
  }
}
