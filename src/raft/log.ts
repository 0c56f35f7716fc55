import { InvariantError, assert, defined } from '../lib/assert.ts';
import type { Logger } from '../ports/logger.ts';
import { countWithin, entriesSize } from './entry-size.ts';
import type { LogGap, LogStorage } from './storage.ts';
import { snapshotIndex, snapshotTerm } from './types.ts';
import type { Entry, Snapshot } from './types.ts';
import { Unstable } from './unstable.ts';

/** Identifies an entry: a term has one leader, and a leader never writes an index twice. */
export interface EntryId {
  readonly term: number;
  readonly index: number;
}

/**
 * The whole log: storage followed by the unstable end, with its committed and applied indexes.
 *
 * Invariant: applied <= applying <= committed <= lastIndex, and none of them ever decreases.
 */
export class RaftLog {
  readonly storage: LogStorage;
  readonly unstable: Unstable;
  committed: number;
  /** Highest index that was returned to be applied. */
  applying: number;
  /** Highest index known to be applied. */
  applied: number;
  readonly #logger: Logger;
  /** Limit of bytes that are being applied. */
  readonly maxApplyingSize: number;
  #applyingSize = 0;
  /** Set when this limit cut off, or would cut off, the entries to apply. */
  #applyingPaused = false;

  constructor(storage: LogStorage, logger: Logger, maxApplyingSize: number) {
    this.storage = storage;
    this.#logger = logger;
    this.maxApplyingSize = maxApplyingSize;
    this.unstable = new Unstable(storage.lastIndex() + 1, logger);
    this.committed = storage.firstIndex() - 1;
    this.applying = this.committed;
    this.applied = this.committed;
  }

  describe(): string {
    const { unstable } = this;
    return (
      `committed=${this.committed}, applied=${this.applied}, applying=${this.applying}, ` +
      `unstable.offset=${unstable.offset}, unstable.offsetInProgress=${unstable.offsetInProgress}, ` +
      `len(unstable.Entries)=${unstable.entries.length}`
    );
  }

  firstIndex(): number {
    return this.unstable.maybeFirstIndex() ?? this.storage.firstIndex();
  }

  lastIndex(): number {
    return this.unstable.maybeLastIndex() ?? this.storage.lastIndex();
  }

  lastEntryId(): EntryId {
    const index = this.lastIndex();
    const term = this.term(index);
    assert(typeof term === 'number', 'the term of the last entry is known');
    return { term, index };
  }

  /** Known for [firstIndex - 1, lastIndex]: the position before the first entry keeps its term for matching. */
  term(index: number): number | LogGap {
    const unstable = this.unstable.maybeTerm(index);
    if (unstable !== undefined) return unstable;
    if (index + 1 < this.firstIndex()) return 'compacted';
    if (index > this.lastIndex()) return 'unavailable';
    return this.storage.term(index);
  }

  /** The term, or 0 (which no entry has) where it is not known. */
  termOrZero(index: number): number {
    const term = this.term(index);
    return typeof term === 'number' ? term : 0;
  }

  matchTerm(term: number, index: number): boolean {
    return this.term(index) === term;
  }

  /** Whether a log that ends with `their` is at least as up to date as this one (Raft thesis, 3.6.1). */
  isUpToDate(their: EntryId): boolean {
    const ours = this.lastEntryId();
    return their.term > ours.term || (their.term === ours.term && their.index >= ours.index);
  }

  /**
   * A follower's append: `entries` follow `prev` in the log of a leader that has committed up to `leaderCommit`.
   *
   * @returns the index of the last entry known to match the leader's log; undefined if `prev` does not match
   */
  maybeAppend(prev: EntryId, entries: readonly Entry[], leaderCommit: number): number | undefined {
    if (!this.matchTerm(prev.term, prev.index)) return undefined;
    const lastNew = prev.index + entries.length;
    const conflict = this.#findConflict(entries);
    if (conflict !== 0) {
      if (conflict <= this.committed) {
        throw new InvariantError(
          `entry ${conflict} conflict with committed entry [committed(${this.committed})]`,
        );
      }
      const skip = conflict - prev.index - 1;
      this.append(skip === 0 ? entries : entries.slice(skip));
    }
    this.commitTo(Math.min(leaderCommit, lastNew));
    return lastNew;
  }

  /** @returns the new last index */
  append(entries: readonly Entry[]): number {
    const head = entries[0];
    if (head === undefined) return this.lastIndex();
    if (head.index <= this.committed) {
      throw new InvariantError(`after(${head.index - 1}) is out of range [committed(${this.committed})]`);
    }
    this.unstable.truncateAndAppend(entries);
    return this.lastIndex();
  }

  /** The first of `entries` that this log lacks or holds with another term; 0 when it has them all. */
  #findConflict(entries: readonly Entry[]): number {
    for (const { index, term } of entries) {
      if (this.matchTerm(term, index)) continue;
      if (index <= this.lastIndex()) {
        this.#logger.info(
          `found conflict at index ${index} [existing term: ${this.termOrZero(index)}, conflicting term: ${term}]`,
        );
      }
      return index;
    }
    return 0;
  }

  /**
   * The highest position at or below `index` that may match a log with `term` at that index. Terms never decrease in a
   * log, so positions with a higher term are skipped. That saves a round trip for each entry of a long diverged end.
   * The returned term is 0 if unknown.
   */
  findConflictByTerm(index: number, term: number): EntryId {
    for (let at = index; at > 0; at--) {
      const ours = this.term(at);
      if (typeof ours !== 'number') return { term: 0, index: at };
      if (ours <= term) return { term: ours, index: at };
    }
    return { term: 0, index: 0 };
  }

  hasNextUnstableEntries(): boolean {
    return this.unstable.hasNextEntries();
  }

  hasNextOrInProgressUnstableEntries(): boolean {
    return this.unstable.entries.length > 0;
  }

  hasNextUnstableSnapshot(): boolean {
    return this.unstable.nextSnapshot() !== undefined;
  }

  hasNextOrInProgressSnapshot(): boolean {
    return this.unstable.snapshot !== undefined;
  }

  hasNextCommittedEntries(allowUnstable: boolean): boolean {
    // A snapshot is applied first, so that the order is clear.
    if (this.#applyingPaused || this.hasNextOrInProgressSnapshot()) return false;
    return this.applying < this.#maxAppliableIndex(allowUnstable);
  }

  /** Committed entries to apply next; entries not yet durable here are among them only if `allowUnstable`. */
  nextCommittedEntries(allowUnstable: boolean): Entry[] {
    if (!this.hasNextCommittedEntries(allowUnstable)) return [];
    const room = this.maxApplyingSize - this.#applyingSize;
    assert(room > 0, 'entries are handed out to apply only while there is room');
    const entries = this.slice(this.applying + 1, this.#maxAppliableIndex(allowUnstable) + 1, room);
    assert(Array.isArray(entries), 'entries not yet applied are never compacted');
    return entries;
  }

  #maxAppliableIndex(allowUnstable: boolean): number {
    return allowUnstable ? this.committed : Math.min(this.committed, this.unstable.offset - 1);
  }

  snapshot(): Snapshot | 'temporarily-unavailable' {
    return this.unstable.snapshot ?? this.storage.snapshot();
  }

  /** Increases the commit index. A lower index is outdated and ignored. */
  commitTo(index: number): void {
    if (index <= this.committed) return;
    if (index > this.lastIndex()) {
      throw new InvariantError(
        `tocommit(${index}) is out of range [lastIndex(${this.lastIndex()})]. ` +
          'Was the raft log corrupted, truncated, or lost?',
      );
    }
    this.committed = index;
  }

  /**
   * Commits up to `index` if that entry is of `term`: a leader counts replicas only for entries of its own term (Raft
   * thesis, 3.6.2). Earlier ones are committed with them.
   */
  maybeCommit(term: number, index: number): boolean {
    if (term === 0 || index <= this.committed || !this.matchTerm(term, index)) return false;
    this.commitTo(index);
    return true;
  }

  /** @param size encoded bytes of the entries now applied, which are released from the limit */
  appliedTo(index: number, size: number): void {
    if (index > this.committed || index < this.applied) {
      throw new InvariantError(
        `applied(${index}) is out of range [prevApplied(${this.applied}), committed(${this.committed})]`,
      );
    }
    this.applied = index;
    this.applying = Math.max(this.applying, index);
    this.#applyingSize = Math.max(0, this.#applyingSize - size);
    this.#applyingPaused = this.#applyingSize >= this.maxApplyingSize;
  }

  /** Records that entries up to `index`, of `size` encoded bytes, were returned to be applied. */
  acceptApplying(index: number, size: number, allowUnstable: boolean): void {
    if (index > this.committed) {
      throw new InvariantError(
        `applying(${index}) is out of range [prevApplying(${this.applying}), committed(${this.committed})]`,
      );
    }
    this.applying = index;
    this.#applyingSize += size;
    // If entries remain that could be applied, the limit cut them off.
    this.#applyingPaused =
      this.#applyingSize >= this.maxApplyingSize || index < this.#maxAppliableIndex(allowUnstable);
  }

  restore(snapshot: Snapshot): void {
    const index = snapshotIndex(snapshot);
    assert(index > this.committed, 'a restored snapshot is ahead of the commit mark');
    this.#logger.info(
      `log [${this.describe()}] starts to restore snapshot [index: ${index}, term: ${snapshotTerm(snapshot)}]`,
    );
    this.committed = index;
    this.unstable.restore(snapshot);
  }

  /** Entries from `from` to the end, limited to `maxSize` bytes but at least one if there is any. */
  entriesFrom(from: number, maxSize: number): Entry[] | LogGap {
    return from > this.lastIndex() ? [] : this.slice(from, this.lastIndex() + 1, maxSize);
  }

  /** Whether any entry in [from, to) satisfies `matches`; read in pages of at most `pageSize` bytes. */
  some(from: number, to: number, pageSize: number, matches: (entry: Entry) => boolean): boolean {
    for (let at = from; at < to;) {
      const page = this.slice(at, to, pageSize);
      assert(Array.isArray(page) && page.length > 0, 'a scanned range of the log exists');
      if (page.some(matches)) return true;
      at += page.length;
    }
    return false;
  }

  /** Entries [from, to), limited to `maxSize` bytes but at least one if the range is not empty. */
  slice(from: number, to: number, maxSize: number): Entry[] | LogGap {
    assert(from <= to, 'a slice of the log has its bounds in order');
    if (from < this.firstIndex()) return 'compacted';
    assert(to <= this.lastIndex() + 1, 'a slice of the log ends within it');
    if (from === to) return [];
    const { unstable } = this;
    if (from >= unstable.offset) {
      const start = from - unstable.offset;
      const count = countWithin(unstable.entries, start, to - unstable.offset, maxSize);
      return unstable.entries.slice(start, start + count);
    }
    const cut = Math.min(to, unstable.offset);
    const stored = this.storage.entries(from, cut, maxSize);
    if (stored === 'compacted') return stored;
    assert(stored !== 'unavailable', 'storage holds every entry below the unstable ones');
    if (to <= unstable.offset || stored.length < cut - from) return stored;
    return stored.concat(this.#unstableWithin(to, maxSize - entriesSize(stored)));
  }

  #unstableWithin(to: number, room: number): Entry[] {
    const { unstable } = this;
    if (room <= 0) return [];
    const count = countWithin(unstable.entries, 0, to - unstable.offset, room);
    const first = defined(unstable.entries[0], 'the range reaches into the unstable entries');
    if (count === 1 && entriesSize([first]) > room) return [];
    return unstable.entries.slice(0, count);
  }
}
