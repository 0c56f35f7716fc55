import { defined } from '../lib/assert.ts';
import {
  EngineReopenedError,
  ROWS_BYTES,
  type Column,
  type Engine,
  type EngineIterator,
  type EngineRange,
} from '../ports/engine.ts';
import type { StoreView } from '../ports/store-view.ts';
import { EMPTY } from '../wire/reader.ts';
import {
  lowerBound,
  type OpenColumn,
  openColumns,
  type OpenColumns,
  storedKey,
  upperBound,
} from './open-columns.ts';
import { RocksView } from './rocks-view.ts';
import {
  ALL_ROWS,
  rocksBinding,
  type DatabaseHandle,
  type IteratorHandle,
  type NativeIteratorOptions,
} from './rocksdb-binding.ts';

function iteratorOptions(place: OpenColumn, column: Column, range: EngineRange): NativeIteratorOptions {
  const gte = lowerBound(place, column, range.gte);
  return {
    ...ALL_ROWS,
    column: place.choice?.column,
    gte: gte.length === 0 ? undefined : gte,
    lt: upperBound(place, range.lt),
    reverse: range.reverse === true,
    keys: range.valuesOnly !== true,
    values: range.keysOnly !== true,
    highWaterMarkBytes: ROWS_BYTES,
  };
}

class RocksIterator implements EngineIterator {
  readonly #binding = rocksBinding();
  readonly #prefixBytes: number;
  readonly #open: Set<RocksIterator>;
  #handle: IteratorHandle | undefined;
  #finished = false;

  constructor(handle: IteratorHandle, prefixBytes: number, open: Set<RocksIterator>) {
    this.#handle = handle;
    this.#prefixBytes = prefixBytes;
    this.#open = open;
    open.add(this);
  }

  next(count: number): Buffer[] {
    const handle = this.#handle;
    if (handle === undefined) throw new EngineReopenedError('the store was closed during a read');
    if (this.#finished || count === 0) return [];
    const { rows, finished } = this.#binding.iterator_nextv_sync(handle, count);
    this.#finished = finished;
    for (let n = 0; n < rows.length; n += 2) {
      if (this.#prefixBytes > 0) rows[n] = rows[n]?.subarray(this.#prefixBytes);
      rows[n] ??= EMPTY;
      rows[n + 1] ??= EMPTY;
    }
    return rows as Buffer[];
  }

  close(): void {
    if (this.#handle === undefined) return;
    this.#binding.iterator_close(this.#handle);
    this.#handle = undefined;
    this.#open.delete(this);
  }
}

/** Reads of an open database, on the thread that opened it or on a worker thread that shares it. */
export class RocksReader implements Pick<Engine, 'get' | 'getMany' | 'iterate'> {
  protected readonly binding = rocksBinding();
  protected readonly handle: DatabaseHandle;
  #columns: OpenColumns | undefined;
  readonly #oneKey: Uint8Array[] = [EMPTY];
  readonly #iterators = new Set<RocksIterator>();
  readonly #views = new Set<RocksView>();

  protected constructor(handle: DatabaseHandle, columns: OpenColumns) {
    this.handle = handle;
    this.#columns = columns;
  }

  get isOpen(): boolean {
    return this.#columns !== undefined;
  }

  /** The native library does not check for a closed database: a call on one would crash the process. */
  protected get columns(): OpenColumns {
    if (this.#columns === undefined) throw new EngineReopenedError('the store is closed');
    return this.#columns;
  }

  protected get database(): DatabaseHandle {
    if (this.#columns === undefined) throw new EngineReopenedError('the store is closed');
    return this.handle;
  }

  /** The number of the last write that reads see. Two reads between which it does not change see the same state. */
  get sequence(): number {
    return this.binding.db_get_latest_sequence(this.database);
  }

  /** Ends the use of a shared database. */
  detach(): void {
    this.shut();
  }

  /** Called before the database is closed. From now on no call reaches it, and all native iterators are closed. */
  protected shut(): void {
    this.#columns = undefined;
    for (const iterator of this.#iterators) iterator.close();
    for (const view of this.#views) view.close();
    this.#views.clear();
  }

  get openReads(): number {
    return this.#iterators.size + this.#views.size;
  }

  /** The database is open again. */
  protected opened(columns: OpenColumns): void {
    this.#columns = columns;
  }

  /**
   * Shares the database that another thread of this process opened.
   *
   * @param handle `RocksEngine.sharedHandle` of that thread; the database must stay open while this is used
   */
  static attach(handle: bigint): RocksReader {
    const database = rocksBinding().db_init(handle);
    const families = rocksBinding().db_open(database, {}, () => undefined);
    return new RocksReader(database, openColumns(defined(families, 'a shared database is open already')));
  }

  get(column: Column, key: Uint8Array): Buffer | undefined {
    const place = this.columns[column];
    this.#oneKey[0] = storedKey(place, key);
    return this.binding.db_get_many_sync(this.database, this.#oneKey, place.choice)[0];
  }

  getMany(column: Column, keys: readonly Uint8Array[]): (Buffer | undefined)[] {
    const place = this.columns[column];
    const stored = place.prefix === undefined ? keys : keys.map((key) => storedKey(place, key));
    return this.binding.db_get_many_sync(this.database, stored, place.choice);
  }

  iterate(column: Column, range: EngineRange): EngineIterator {
    const place = this.columns[column];
    const handle = this.binding.iterator_init(this.database, iteratorOptions(place, column, range));
    return new RocksIterator(handle, place.prefix?.length ?? 0, this.#iterators);
  }

  /** A view of the current state, for reads that must be consistent. It keeps disk space until it is closed. */
  view(): StoreView {
    const view = new RocksView(this.database, this.columns, () => this.#views.delete(view));
    this.#views.add(view);
    return view;
  }
}
