import { assert, defined } from '../lib/assert.ts';
import type { Logger } from '../ports/logger.ts';
import { snapshotIndex, snapshotTerm } from './types.ts';
import type { Entry, Snapshot } from './types.ts';

/**
 * The end of the log that storage is not yet known to hold: entries from `offset` on, after an optional snapshot. They
 * may overlap the entries of storage. Then they take precedence, and storage is about to be truncated. Handing them out
 * for writing (`acceptInProgress`) does not drop them: reads are served from here until the write is known to be
 * durable.
 *
 * Invariant: offset <= offsetInProgress <= offset + entries.length.
 */
export class Unstable {
  snapshot: Snapshot | undefined = undefined;
  snapshotInProgress = false;
  entries: Entry[] = [];
  /** Log index of `entries[0]`. */
  offset: number;
  /** Entries below this index have been handed out for writing. */
  offsetInProgress: number;
  readonly #logger: Logger;

  constructor(offset: number, logger: Logger) {
    this.offset = offset;
    this.offsetInProgress = offset;
    this.#logger = logger;
  }

  /** The first index of the whole log, if a snapshot here decides it. */
  maybeFirstIndex(): number | undefined {
    return this.snapshot === undefined ? undefined : snapshotIndex(this.snapshot) + 1;
  }

  /** The last index of the whole log, if entries or a snapshot here decide it. */
  maybeLastIndex(): number | undefined {
    if (this.entries.length > 0) return this.offset + this.entries.length - 1;
    return this.snapshot === undefined ? undefined : snapshotIndex(this.snapshot);
  }

  maybeTerm(index: number): number | undefined {
    if (index < this.offset) {
      const { snapshot } = this;
      return snapshot !== undefined && snapshotIndex(snapshot) === index ? snapshotTerm(snapshot) : undefined;
    }
    return this.entries[index - this.offset]?.term;
  }

  hasNextEntries(): boolean {
    return this.offsetInProgress - this.offset < this.entries.length;
  }

  /** Entries not handed out for writing yet. */
  nextEntries(): Entry[] {
    return this.hasNextEntries() ? this.entries.slice(this.offsetInProgress - this.offset) : [];
  }

  nextSnapshot(): Snapshot | undefined {
    return this.snapshotInProgress ? undefined : this.snapshot;
  }

  acceptInProgress(): void {
    this.offsetInProgress = this.offset + this.entries.length;
    if (this.snapshot !== undefined) this.snapshotInProgress = true;
  }

  /**
   * Drops entries up to (term, index), now durable. The caller vouches that no write still in progress will
   * overwrite them in storage. A pair that does not match means the entries were replaced meanwhile: ignored.
   */
  stableTo(term: number, index: number): void {
    const held = this.maybeTerm(index);
    if (held === undefined) {
      this.#logger.info(`entry at index ${index} missing from unstable log; ignoring`);
      return;
    }
    if (index < this.offset) {
      this.#logger.info(`entry at index ${index} matched unstable snapshot; ignoring`);
      return;
    }
    if (held !== term) {
      this.#logger.info(
        `entry at (index,term)=(${index},${term}) mismatched with entry at (${index},${held}) in unstable log; ignoring`,
      );
      return;
    }
    const count = index + 1 - this.offset;
    this.entries = count === this.entries.length ? [] : this.entries.slice(count);
    this.offset = index + 1;
    this.offsetInProgress = Math.max(this.offsetInProgress, this.offset);
  }

  stableSnapshotTo(index: number): void {
    if (this.snapshot === undefined || snapshotIndex(this.snapshot) !== index) return;
    this.snapshot = undefined;
    this.snapshotInProgress = false;
  }

  restore(snapshot: Snapshot): void {
    this.offset = snapshotIndex(snapshot) + 1;
    this.offsetInProgress = this.offset;
    this.entries = [];
    this.snapshot = snapshot;
    this.snapshotInProgress = false;
  }

  /** Appends `added`, first dropping whatever is held from its first index on. */
  truncateAndAppend(added: readonly Entry[]): void {
    const from = defined(added[0], 'an append has entries').index;
    const end = this.offset + this.entries.length;
    assert(from <= end, 'entries are appended to the unstable log without a gap');
    if (from === end) {
      for (const entry of added) this.entries.push(entry);
    } else if (from <= this.offset) {
      this.#logger.info(`replace the unstable entries from index ${from}`);
      this.entries = added.slice();
      this.offset = from;
      this.offsetInProgress = from;
    } else {
      this.#logger.info(`truncate the unstable entries before index ${from}`);
      this.entries = this.entries.slice(0, from - this.offset).concat(added);
      this.offsetInProgress = Math.min(this.offsetInProgress, from);
    }
  }

  slice(from: number, to: number): Entry[] {
    assert(
      this.offset <= from && from <= to && to <= this.offset + this.entries.length,
      'a slice of the unstable log is within it',
    );
    return this.entries.slice(from - this.offset, to - this.offset);
  }
}
