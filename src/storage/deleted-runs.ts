import { EMPTY } from '../wire/reader.ts';
import {
  ALL_ROWS,
  type ColumnChoice,
  type DatabaseHandle,
  type IteratorHandle,
  rocksBinding,
} from './rocksdb-binding.ts';

/** Of the deleted keys, one in so many is noted. */
const NOTED_EVERY = 64;
/** A family is looked through when so many of its keys are noted: after 2048 deletions. */
const NOTES_PER_PASS = 32;
/** Rows between which so many keys are noted have a run: about 512 deleted rows. */
const NOTES_PER_RUN = 8;

const ZERO = Buffer.alloc(1);

export interface DeletedKey {
  readonly choice: ColumnChoice;
  readonly key: Buffer;
}

/** Bounds of a place without rows, the lower one included, the upper one not. */
interface Range {
  readonly from: Buffer;
  readonly to: Buffer;
}

/** The deletions of one column family. */
interface Family {
  readonly notes: Buffer[];
  /** The range that was deleted last. Rows may have been put there since. */
  last: Range | undefined;
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
 *
 * A run that grows, as when a range is deleted in many batches, is marked again as a whole: a range in a newer part of
 * RocksDB lets a read jump over all that is older. It looks only forwards, since going backwards over deleted rows takes
 * RocksDB ten times as long.
 */
export class DeletedRuns {
  readonly #database: () => DatabaseHandle;
  readonly #families = new Map<ColumnChoice, Family>();
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
    this.#families.clear();
  }

  /** The rows of these noted keys were deleted. Sometimes marks the runs. @throws the error of RocksDB */
  deleted(keys: readonly DeletedKey[]): void {
    for (const { choice, key } of keys) {
      const family = this.#families.get(choice);
      if (family === undefined) this.#families.set(choice, { notes: [key], last: undefined });
      else family.notes.push(key);
    }
    for (const [choice, family] of this.#families)
      if (family.notes.length >= NOTES_PER_PASS) this.#mark(choice, family);
  }

  #mark(choice: ColumnChoice, family: Family): void {
    const notes = family.notes.splice(0).sort((a, b) => Buffer.compare(a, b));
    const rows = this.#rowsFrom(choice, notes[0]);
    try {
      for (let at = 0; at < notes.length;) {
        const start = notes[at] ?? EMPTY;
        const next = firstRow(rows, start);
        const first = at;
        while (at < notes.length && isBefore(notes[at] ?? EMPTY, next)) at += 1;
        if (at - first < NOTES_PER_RUN) {
          // A key that was put again is a row itself.
          at = Math.max(at, first + 1);
          continue;
        }
        const { last } = family;
        const grows =
          last !== undefined &&
          Buffer.compare(last.from, start) <= 0 &&
          this.#isEmpty(choice, last.from, start);
        const range = { from: grows ? last.from : start, to: next ?? after(notes[at - 1] ?? EMPTY) };
        rocksBinding().db_clear(this.#database(), { column: choice?.column, gte: range.from, lt: range.to });
        family.last = range;
      }
    } finally {
      rocksBinding().iterator_close(rows);
    }
  }

  #isEmpty(choice: ColumnChoice, from: Buffer, to: Buffer): boolean {
    const rows = this.#rowsFrom(choice, from, to);
    const isEmpty = rocksBinding().iterator_nextv_sync(rows, 1).rows.length === 0;
    rocksBinding().iterator_close(rows);
    return isEmpty;
  }

  #rowsFrom(choice: ColumnChoice, gte: Buffer | undefined, lt?: Buffer): IteratorHandle {
    return rocksBinding().iterator_init(this.#database(), {
      ...ALL_ROWS,
      column: choice?.column,
      gte,
      lt,
      values: false,
    });
  }
}

/** The first row from `key` on. */
function firstRow(rows: IteratorHandle, key: Buffer): Buffer | undefined {
  rocksBinding().iterator_seek(rows, key);
  return rocksBinding().iterator_nextv_sync(rows, 1).rows[0];
}

/** Undefined is the end, after all keys. */
function isBefore(key: Buffer, other: Buffer | undefined): boolean {
  return other === undefined || Buffer.compare(key, other) < 0;
}

function after(key: Buffer): Buffer {
  return Buffer.concat([key, ZERO]);
}
