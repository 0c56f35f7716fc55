import { EMPTY } from '../wire/reader.ts';
import {
  type ColumnChoice,
  type DatabaseHandle,
  type NativeIteratorOptions,
  rocksBinding,
} from './rocksdb-binding.ts';

/** Of the deleted keys, one in so many is noted. */
const NOTED_EVERY = 64;
/** Rows between which so many keys are noted have a run: about 256 deleted rows. */
const NOTES_PER_RUN = 4;
/** Of more notes in a family, every other one is dropped. */
const MAX_NOTES = 4096;

const ZERO = Buffer.alloc(1);

export interface DeletedKey {
  readonly choice: ColumnChoice;
  readonly key: Buffer;
}

/** A place without rows: bounds of a range, the lower one included, the upper one not. */
interface Gap {
  readonly from: Buffer;
  readonly to: Buffer;
}

/**
 * Marks long runs of deleted rows as one deleted range, so that reads jump over them.
 *
 * RocksDB keeps a mark for each deleted row until a compaction, and a read that passes such marks looks at each of them
 * within one call: 100,000 of them took 40 ms and more. The binding can limit neither the time of a call nor the
 * number of marks. RocksDB jumps over a deleted range at once.
 *
 * A range is deleted only between two rows that exist, in the turn of the event loop that looked for them. All writes
 * come from this thread, so no row can appear there in between, and no contents change.
 */
export class DeletedRuns {
  readonly #database: () => DatabaseHandle;
  /** Noted keys that are in no deleted range yet, ascending. */
  readonly #notes = new Map<ColumnChoice, Buffer[]>();
  #deletions = 0;

  constructor(database: () => DatabaseHandle) {
    this.#database = database;
  }

  /** Whether the key that is deleted next is one to note. */
  isNext(): boolean {
    this.#deletions = (this.#deletions + 1) % NOTED_EVERY;
    return this.#deletions === 0;
  }

  /** The families have other handles now. */
  clear(): void {
    this.#notes.clear();
  }

  /** The rows of these noted keys were deleted. Marks the runs that they are in. @throws the error of RocksDB */
  deleted(keys: readonly DeletedKey[]): void {
    for (const { choice, key } of keys) this.#note(choice, key);
    let last: (Gap & { choice: ColumnChoice }) | undefined;
    for (const { choice, key } of keys) {
      if (last !== undefined && last.choice === choice && isWithin(last, key)) continue;
      last = { ...this.#gapAround(choice, key), choice };
      if (this.#takeNotes(choice, last))
        rocksBinding().db_clear(this.#database(), { column: choice?.column, gte: last.from, lt: last.to });
    }
  }

  #note(choice: ColumnChoice, key: Buffer): void {
    let notes = this.#notes.get(choice) ?? [];
    if (notes.length >= MAX_NOTES) notes = notes.filter((_, at) => at % 2 === 0);
    notes.splice(placeOf(notes, key), 0, key);
    this.#notes.set(choice, notes);
  }

  /** Removes the notes of a gap if they are enough for a run. */
  #takeNotes(choice: ColumnChoice, { from, to }: Gap): boolean {
    const notes = this.#notes.get(choice) ?? [];
    const first = placeOf(notes, from);
    const count = placeOf(notes, to) - first;
    if (count < NOTES_PER_RUN) return false;
    notes.splice(first, count);
    return true;
  }

  /** The place between the rows before and after a key; up to the key itself if there is none. */
  #gapAround(choice: ColumnChoice, key: Buffer): Gap {
    const previous = this.#firstRow(choice, { lt: key, reverse: true });
    const next = this.#firstRow(choice, { gte: key });
    return { from: previous === undefined ? key : after(previous), to: next ?? after(key) };
  }

  #firstRow(
    choice: ColumnChoice,
    range: Partial<Pick<NativeIteratorOptions, 'gte' | 'lt' | 'reverse'>>,
  ): Buffer | undefined {
    const rows = rocksBinding().iterator_init(this.#database(), {
      column: choice?.column,
      gte: range.gte,
      lt: range.lt,
      reverse: range.reverse === true,
      values: false,
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      asyncIO: false,
    });
    try {
      return rocksBinding().iterator_nextv_sync(rows, 1).rows[0];
    } finally {
      rocksBinding().iterator_close(rows);
    }
  }
}

function isWithin({ from, to }: Gap, key: Buffer): boolean {
  return Buffer.compare(from, key) <= 0 && Buffer.compare(key, to) < 0;
}

function after(key: Buffer): Buffer {
  return Buffer.concat([key, ZERO]);
}

/** The number of notes before a key. */
function placeOf(notes: readonly Buffer[], key: Buffer): number {
  let low = 0;
  let high = notes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (Buffer.compare(notes[middle] ?? EMPTY, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
