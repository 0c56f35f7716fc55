import { assert } from '../lib/assert.ts';
import { EngineReopenedError } from '../ports/engine.ts';
import type { StoreView, ViewColumn, ViewRange } from '../ports/store-view.ts';
import { EMPTY } from '../wire/reader.ts';
import { lowerBound, type OpenColumns, upperBound } from './open-columns.ts';
import {
  ALL_ROWS,
  type ColumnChoice,
  type DatabaseHandle,
  type IteratorHandle,
  rocksBinding,
} from './rocksdb-binding.ts';

const ROWS_PER_BATCH = 512;
/** A batch ends after the row that reaches this size, so that large values do not take too much memory. */
const BATCH_BYTES = 1 << 20;
/** So many writes between two adjacent calls mean that something is wrong. */
const MAX_TRIES = 100_000;

interface FamilyIterators {
  readonly events: IteratorHandle;
  /** Iterator of the family that the small columns share. */
  readonly small: IteratorHandle;
}

/**
 * A frozen view of events and the small columns. An iterator of RocksDB keeps its view of the moment when it was
 * created, also after a seek. The iterators of the two families are created again until no write fell between them, so
 * that both show the same moment.
 */
export class RocksView implements StoreView {
  readonly #binding = rocksBinding();
  readonly #database: DatabaseHandle;
  readonly #columns: OpenColumns;
  readonly #closed: () => void;
  #iterators: FamilyIterators | undefined;
  #scans = 0;

  constructor(database: DatabaseHandle, columns: OpenColumns, closed: () => void) {
    this.#database = database;
    this.#columns = columns;
    this.#closed = closed;
    this.#iterators = this.#freeze();
  }

  #freeze(): FamilyIterators {
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const before = this.#binding.db_get_latest_sequence(this.#database);
      const small = this.#iterator(this.#columns.meta.choice);
      const events = this.#iterator(this.#columns.event.choice);
      if (this.#binding.db_get_latest_sequence(this.#database) === before) return { events, small };
      this.#binding.iterator_close(small);
      this.#binding.iterator_close(events);
    }
    throw new Error('the store was written too often to create a view of it');
  }

  #iterator(choice: ColumnChoice): IteratorHandle {
    return this.#binding.iterator_init(this.#database, {
      ...ALL_ROWS,
      column: choice?.column,
      highWaterMarkBytes: BATCH_BYTES,
    });
  }

  *scan(column: ViewColumn, range: ViewRange): Generator<Buffer[], void> {
    const place = this.#columns[column];
    const scan = ++this.#scans;
    const to = upperBound(place, range.lt);
    this.#binding.iterator_seek(this.#of(column), lowerBound(place, column, range.gte));
    for (;;) {
      assert(scan === this.#scans, 'a scan of a view is not read after the next one has started');
      const { rows, finished } = this.#binding.iterator_nextv_sync(this.#of(column), ROWS_PER_BATCH);
      const within = takeBelow(rows, to, place.prefix?.length ?? 0);
      if (within.length > 0) yield within;
      if (finished || within.length < rows.length) return;
    }
  }

  #of(column: ViewColumn): IteratorHandle {
    if (this.#iterators === undefined) throw new EngineReopenedError('the view is closed');
    const { events, small } = this.#iterators;
    return column === 'event' ? events : small;
  }

  close(): void {
    if (this.#iterators === undefined) return;
    this.#binding.iterator_close(this.#iterators.events);
    this.#binding.iterator_close(this.#iterators.small);
    this.#iterators = undefined;
    this.#closed();
  }
}

/** The rows before `to`, with the column's prefix taken off their keys. */
function takeBelow(rows: (Buffer | undefined)[], to: Uint8Array | undefined, prefixBytes: number): Buffer[] {
  let end = rows.length;
  if (to !== undefined) while (end > 0 && Buffer.compare(rows[end - 2] ?? EMPTY, to) >= 0) end -= 2;
  const taken = (end === rows.length ? rows : rows.slice(0, end)) as Buffer[];
  for (let at = 0; at < end; at += 2) {
    if (prefixBytes > 0) taken[at] = (taken[at] ?? EMPTY).subarray(prefixBytes);
    taken[at + 1] ??= EMPTY;
  }
  return taken;
}
