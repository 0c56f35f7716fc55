import { assert, defined } from '../lib/assert.ts';
import type { StoreView, ViewColumn, ViewRange } from '../ports/store-view.ts';
import { columnPlaces, firstPrefix } from './rocks-columns.ts';
import { type OpenColumns, storedKey } from './rocks-reader.ts';
import { type DatabaseHandle, type IteratorHandle, rocksBinding } from './rocksdb-binding.ts';

const rowsPerBatch = 512;
/** A batch ends after the row that reaches this, so that large values don't pile up. */
const batchBytes = 1 << 20;

const empty = Buffer.alloc(0);

/**
 * A frozen view over the columns that share the default family. RocksDB fixes an iterator's view when it is made and
 * keeps it over seeks, so one iterator sees all of them at one instant, as often as it is asked.
 */
export class RocksView implements StoreView {
  readonly #binding = rocksBinding();
  readonly #columns: OpenColumns;
  #handle: IteratorHandle | undefined;
  #scans = 0;

  constructor(database: DatabaseHandle, columns: OpenColumns) {
    this.#columns = columns;
    this.#handle = this.#binding.iterator_init(database, {
      column: undefined,
      gte: undefined,
      lt: undefined,
      reverse: false,
      values: true,
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      asyncIO: false,
      highWaterMarkBytes: batchBytes,
    });
  }

  *scan(column: ViewColumn, range: ViewRange): Generator<Buffer[], void> {
    const place = this.#columns[column];
    const { prefix } = columnPlaces[column];
    const scan = ++this.#scans;
    const from = storedKey(place, range.gte);
    const to =
      range.lt === undefined
        ? prefix === undefined
          ? firstPrefix
          : Buffer.from([prefix + 1])
        : storedKey(place, range.lt);
    this.#binding.iterator_seek(this.#open(), from);
    for (;;) {
      assert(scan === this.#scans, 'a scan of a view is not read after the next one began');
      const { rows, finished } = this.#binding.iterator_nextv_sync(this.#open(), rowsPerBatch);
      const within = takeBelow(rows, to, prefix !== undefined);
      if (within.length > 0) yield within;
      if (finished || within.length < rows.length) return;
    }
  }

  #open(): IteratorHandle {
    return defined(this.#handle, 'a view is read only while it is open');
  }

  close(): void {
    if (this.#handle === undefined) return;
    this.#binding.iterator_close(this.#handle);
    this.#handle = undefined;
  }
}

/** The rows before `to`, with the column's prefix taken off their keys. */
function takeBelow(rows: (Buffer | undefined)[], to: Uint8Array, isPrefixed: boolean): Buffer[] {
  let end = rows.length;
  const last = rows[end - 2];
  if (last !== undefined && Buffer.compare(last, to) >= 0) {
    while (end > 0 && Buffer.compare(rows[end - 2] ?? empty, to) >= 0) end -= 2;
  }
  const taken = (end === rows.length ? rows : rows.slice(0, end)) as Buffer[];
  for (let at = 0; at < end; at += 2) {
    if (isPrefixed) taken[at] = (taken[at] ?? empty).subarray(1);
    taken[at + 1] ??= empty;
  }
  return taken;
}
