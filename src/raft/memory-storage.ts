import { assert, defined } from '../lib/assert.ts';
import { countWithin } from './entry-size.ts';
import type { LogGap, LogStorage } from './storage.ts';
import { None, snapshotIndex, snapshotTerm } from './types.ts';
import type { ConfState, Entry, HardState, Snapshot } from './types.ts';

const emptyConfState: ConfState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

/** The log since the last compaction, in memory. The application copies to it what it has made durable. */
export class MemoryStorage implements LogStorage {
  #hardState: HardState = { term: 0, vote: None, commit: 0 };
  #restoredConfState: ConfState | undefined;
  #latestSnapshot: Snapshot = {
    data: undefined,
    metadata: { confState: emptyConfState, index: 0, term: 0 },
  };
  /** Index and term of the position just before `log[0]`. */
  #baseIndex = 0;
  #baseTerm = 0;
  #log: Entry[] = [];

  initialState(): { readonly hardState: HardState; readonly confState: ConfState } {
    return {
      hardState: this.#hardState,
      confState: this.#restoredConfState ?? this.#latestSnapshot.metadata?.confState ?? emptyConfState,
    };
  }

  setHardState(state: HardState): void {
    this.#hardState = state;
  }

  /** The configuration as of the applied index of a restart, where that lies beyond the snapshot. */
  restoreConfState(confState: ConfState): void {
    this.#restoredConfState = confState;
  }

  firstIndex(): number {
    return this.#baseIndex + 1;
  }

  lastIndex(): number {
    return this.#baseIndex + this.#log.length;
  }

  term(index: number): number | LogGap {
    if (index === this.#baseIndex) return this.#baseTerm;
    if (index < this.#baseIndex) return 'compacted';
    return this.#log[index - this.#baseIndex - 1]?.term ?? 'unavailable';
  }

  entries(from: number, to: number, maxSize: number): Entry[] | LogGap {
    if (from <= this.#baseIndex) return 'compacted';
    assert(to <= this.lastIndex() + 1, 'entries asked of the storage are within its log');
    if (this.#log.length === 0) return 'unavailable';
    const start = from - this.#baseIndex - 1;
    const count = countWithin(this.#log, start, to - this.#baseIndex - 1, maxSize);
    return this.#log.slice(start, start + count);
  }

  snapshot(): Snapshot | 'temporarily-unavailable' {
    return this.#latestSnapshot;
  }

  /** Replaces everything by `snapshot`. @returns false, without a change, if it has an equal or newer one */
  applySnapshot(snapshot: Snapshot): boolean {
    const held = snapshotIndex(this.#latestSnapshot);
    if (held !== 0 && held >= snapshotIndex(snapshot)) return false;
    this.#latestSnapshot = snapshot;
    this.#baseIndex = snapshotIndex(snapshot);
    this.#baseTerm = snapshotTerm(snapshot);
    this.#log = [];
    return true;
  }

  /** Records the state at `index` as the snapshot to send. @returns undefined if it has an equal or newer one */
  createSnapshot(
    index: number,
    confState: ConfState | undefined,
    data: Buffer | undefined,
  ): Snapshot | undefined {
    if (index <= snapshotIndex(this.#latestSnapshot)) return undefined;
    assert(index <= this.lastIndex(), 'a snapshot is of a position within the log');
    const term = this.term(index);
    assert(typeof term === 'number', 'the term at a snapshot index is known');
    this.#latestSnapshot = {
      data,
      metadata: { confState: confState ?? this.initialState().confState, index, term },
    };
    return this.#latestSnapshot;
  }

  /** Drops entries up to and including `index`. @returns false when that is done already. */
  compact(index: number): boolean {
    if (index <= this.#baseIndex) return false;
    assert(index <= this.lastIndex(), 'the log is compacted within its bounds');
    const last = index - this.#baseIndex - 1;
    this.#baseTerm = defined(this.#log[last], 'the entry compacted to exists').term;
    this.#log = this.#log.slice(last + 1);
    this.#baseIndex = index;
    return true;
  }

  /** Adds `entries`, replacing whatever was there from the first of them on. Those already compacted are skipped. */
  append(entries: readonly Entry[]): void {
    const head = entries[0];
    if (head === undefined) return;
    let at = head.index - this.#baseIndex - 1;
    let skip = 0;
    if (at < 0) {
      skip = -at;
      at = 0;
      if (skip >= entries.length) return;
    }
    assert(at <= this.#log.length, 'entries are appended without a gap');
    if (at < this.#log.length) this.#log = this.#log.slice(0, at);
    for (let i = skip; i < entries.length; i++) this.#log.push(defined(entries[i], 'entries are dense'));
  }
}
