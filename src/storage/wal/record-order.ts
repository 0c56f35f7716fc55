import type { Entry, HardState } from '../../wire/gen/raftpb.ts';

/**
 * What raft guarantees about the order of entries and states in a log. A record's type lies outside its
 * checksum, so these rules are what tells a state from an entry that a flipped bit made of it.
 */
export class RecordOrder {
  #lastIndex = 0;
  #lastTerm = 0;
  #state: HardState | undefined;
  #markIndex = 0;

  /** Index of the newest entry; 0 when there is none. */
  get lastIndex(): number {
    return this.#lastIndex;
  }

  /** Takes the next entry; a text says which rule it breaks. */
  entry({ type, index, term, data }: Entry): string | undefined {
    const isFirst = this.#lastIndex === 0;
    const previous = Math.max(this.#lastIndex, this.#markIndex);
    if (!isFirst && index > previous + 1) return `entry ${index} follows entry ${this.#lastIndex}`;
    if ((type as number) > 2 || index === 0) return `entry ${index} is of no known type`;
    if (term < this.#lastTerm) return `entry ${index} has term ${term} after term ${this.#lastTerm}`;
    if (!isFirst && index <= (this.#state?.commit ?? 0)) return `entry ${index} replaces a committed one`;
    if (term === 0 && (data?.length ?? 0) > 0) return `entry ${index} has no term`;
    this.#lastIndex = index;
    this.#lastTerm = term;
    return undefined;
  }

  state(state: HardState): string | undefined {
    const { term, commit } = state;
    const before = this.#state;
    if (before !== undefined && term < before.term) return `term ${term} follows term ${before.term}`;
    if (before !== undefined && commit < before.commit)
      return `commit ${commit} follows commit ${before.commit}`;
    if (this.#lastIndex !== 0 && commit > Math.max(this.#lastIndex, this.#markIndex)) {
      return `commit ${commit} lies beyond the last entry ${this.#lastIndex}`;
    }
    this.#state = state;
    return undefined;
  }

  mark(index: number): void {
    this.#markIndex = Math.max(this.#markIndex, index);
  }
}
