import type { Entry, HardState } from '../../wire/gen/raftpb.ts';
import { TermRuns } from './term-runs.ts';

/**
 * Checks the order of entries and states that raft guarantees in a log. The checksum does not cover the type of a
 * record. So these rules detect a flipped bit that turns an entry into a state.
 */
export class RecordOrder {
  /** Terms of the valid entries. Replaced entries do not restrict later ones. */
  readonly terms = new TermRuns();
  #state: HardState | undefined;
  #snapshot = { index: 0, term: 0 };

  /** Index of the newest entry; 0 when there is none. */
  get lastIndex(): number {
    return this.terms.lastIndex;
  }

  /**
   * Adds the next entry, or returns the rule that it breaks. Terms never decrease from one valid entry to the next.
   * They may decrease from a replaced entry to the one that replaces it (Raft, figure 8).
   */
  entry({ type, index, term, data }: Entry): string | undefined {
    const { terms } = this;
    if ((type as number) > 2 || index === 0) return `entry ${index} is of no known type`;
    if (!terms.isEmpty && index > terms.lastIndex + 1)
      return `entry ${index} follows entry ${terms.lastIndex}`;
    if (!terms.isEmpty && index <= (this.#state?.commit ?? 0))
      return `entry ${index} replaces a committed one`;
    if (term === 0 && (data?.length ?? 0) > 0) return `entry ${index} has no term`;
    const before = terms.of(index - 1) ?? (index > this.#snapshot.index ? this.#snapshot.term : 0);
    if (term < before) return `entry ${index} has term ${term} after term ${before}`;
    terms.add(index, term);
    return undefined;
  }

  state(state: HardState): string | undefined {
    const { term, commit } = state;
    const before = this.#state;
    if (before !== undefined && term < before.term) return `term ${term} follows term ${before.term}`;
    if (before !== undefined && commit < before.commit)
      return `commit ${commit} follows commit ${before.commit}`;
    if (!this.terms.isEmpty && commit > Math.max(this.terms.lastIndex, this.#snapshot.index)) {
      return `commit ${commit} lies beyond the last entry ${this.terms.lastIndex}`;
    }
    this.#state = state;
    return undefined;
  }

  /** @returns whether everything before is void, and the log starts again after the snapshot record */
  snapshot(index: number, term: number): boolean {
    if (index < this.#snapshot.index) return false;
    this.#snapshot = { index, term };
    // A log whose first segments were released may start with a snapshot record older than its first entry.
    return !this.terms.isEmpty && this.terms.settle(index, term);
  }
}
