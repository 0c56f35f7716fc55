import { EmptyPlaces } from './empty-places.ts';
import type { ColumnChoice } from './rocksdb-binding.ts';

/** Of the deleted keys, one in so many is noted. */
const NOTED_EVERY = 64;
/** A place with so many new notes is marked: about 512 deleted rows. */
const NOTES_PER_MARK = 8;
/** After 4096 deletions without a search, one does not wait for its turn. */
const NOTES_PER_SEARCH = 64;
/** Searches in one turn, and places that become one in it. Each passes the deleted rows between two notes. */
const STEPS_PER_TURN = 32;
/** Of each family. About 200 bytes each. */
const MAX_PLACES = 8192;

/** A deleted key that is noted, or at which an empty place ends. */
export interface DeletedKey {
  readonly choice: ColumnChoice;
  readonly key: Buffer;
  readonly isNoted: boolean;
}

/** What is needed of a column family. */
export interface FamilyRows {
  /**
   * The key of the first row from `gte` on, and before `lt` if there is one; undefined if there is no row, and
   * `unknown` if the search ended before it found that out.
   */
  first(choice: ColumnChoice, gte: Buffer, lt: Buffer | undefined): Buffer | 'unknown' | undefined;
  deleteRange(choice: ColumnChoice, gte: Buffer, lt: Buffer): void;
}

/** Runs a function in a later turn. @returns what prevents that */
export type RunLater = (run: () => void) => () => void;

/**
 * Marks long runs of deleted rows as one deleted range, so that reads jump over them.
 *
 * RocksDB keeps a mark for each deleted row until a compaction, and a read that passes such marks looks at each of them
 * within one call: 100,000 of them took 40 ms and more. The binding can limit neither the time of a call nor the
 * number of marks. RocksDB jumps over a deleted range at once.
 *
 * Runs grow in any order of deletions: each noted key begins an empty place, and the places grow together as the rows
 * between them are deleted. Only what is new is searched, in turns of its own. A place that grew is marked again as a
 * whole: a range in a newer part of RocksDB lets a read jump over all that is older.
 *
 * All writes come from this thread and tell their keys here before. If a search falls between that and the write, it
 * did not see the row, and what it found is forgotten.
 *
 * A range is deleted only after one more look, in the same turn, has found no row in it. So a fault in what is known of
 * the places never deletes a row. The look jumps over what was marked before.
 */
export class DeletedRuns {
  readonly #rows: FamilyRows;
  readonly #later: RunLater;
  readonly #families = new Map<ColumnChoice, EmptyPlaces>();
  #deletions = 0;
  #searches = 0;
  #faults = 0;
  /** Since the last search. */
  #newNotes = 0;
  #cancel: (() => void) | undefined;

  constructor(rows: FamilyRows, later: RunLater) {
    this.#rows = rows;
    this.#later = later;
  }

  /** How many searches there were so far. */
  get searches(): number {
    return this.#searches;
  }

  /** How many places had a row although none was known. Always 0, unless this code has a fault. */
  get faults(): number {
    return this.#faults;
  }

  /** The families have other handles now. */
  clear(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#families.clear();
  }

  /** A row of this key is about to be written. */
  put(choice: ColumnChoice, key: Uint8Array): void {
    if (this.#families.size > 0) this.#families.get(choice)?.put(key);
  }

  /** Rows were written that `put` was told of after so many searches. */
  written(choice: ColumnChoice, searches: number): void {
    if (searches < this.#searches) this.#families.get(choice)?.forgetSince(searches);
  }

  /** The key is about to be deleted. @returns what `deleted` must be told of it after that */
  deleting(choice: ColumnChoice, key: Uint8Array): DeletedKey | undefined {
    this.#deletions = (this.#deletions + 1) % NOTED_EVERY;
    const isNoted = this.#deletions === 0;
    const family = this.#families.get(choice);
    if (!isNoted && family === undefined) return undefined;
    const buffer = Buffer.from(key.buffer, key.byteOffset, key.length);
    if (!isNoted && family?.endsAt(buffer) !== true) return undefined;
    return { choice, key: Buffer.from(buffer), isNoted };
  }

  /** The rows of these keys were deleted. @throws the error of RocksDB */
  deleted(keys: readonly DeletedKey[]): void {
    for (const { choice, key, isNoted } of keys) {
      if (isNoted) this.#newNotes += 1;
      let family = this.#families.get(choice);
      if (family === undefined) this.#families.set(choice, (family = new EmptyPlaces(MAX_PLACES)));
      family.deleted(key, isNoted);
    }
    if (this.#newNotes >= NOTES_PER_SEARCH) this.#search();
    this.#searchLater();
  }

  #queued(): number {
    let queued = 0;
    for (const family of this.#families.values()) queued += family.queued;
    return queued;
  }

  #searchLater(): void {
    if (this.#cancel !== undefined || this.#queued() === 0) return;
    this.#cancel = this.#later(() => {
      this.#cancel = undefined;
      this.#search();
      this.#searchLater();
    });
  }

  /**
   * Searches until the steps of a turn are used up, or one ends without an answer.
   *
   * @throws the error of RocksDB
   */
  #search(): void {
    this.#searches += 1;
    this.#newNotes = 0;
    let steps = STEPS_PER_TURN;
    for (const [choice, family] of this.#families) {
      while (steps > 0) {
        const look = family.take();
        if (look === undefined) break;
        const { place, until } = look;
        const row = this.#rows.first(choice, place.to, until);
        if (row === 'unknown') return family.lookAgain();
        const { joined, isEmpty } = family.extend(look, row, this.#searches);
        steps -= joined;
        if (!isEmpty || place.notes - place.marked < NOTES_PER_MARK) continue;
        const inside = this.#rows.first(choice, place.from, place.to);
        if (inside === 'unknown') return family.lookAgain();
        if (inside !== undefined) {
          this.#faults += 1;
          this.#families.delete(choice);
          break;
        }
        this.#rows.deleteRange(choice, place.from, place.to);
        family.marked();
      }
    }
  }
}
