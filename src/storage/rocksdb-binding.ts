/**
 * Typed view of the native functions of `@nxtedition/rocksdb`. They are called directly: the package's
 * own classes add promises, option copies and an abstract-level layer to every call, and drop options.
 */
import { createRequire } from 'node:module';

declare const handleKind: unique symbol;
interface NativeHandle<Kind extends string> {
  readonly [handleKind]: Kind;
}
export type DatabaseHandle = NativeHandle<'database'>;
export type ColumnHandle = NativeHandle<'column'>;
export type BatchHandle = NativeHandle<'batch'>;
export type IteratorHandle = NativeHandle<'iterator'>;

export interface NativeColumnOptions {
  /**
   * `level` sets write buffers to a quarter of `memtableMemoryBudget`, flushes two at a time, sizes files
   * at an eighth and the first level at the whole of it, and compresses with zstd from the second level on.
   */
  readonly compaction: 'level' | 'universal';
  readonly memtableMemoryBudget: number;
  /** True adds zstd on every level with trained dictionaries. */
  readonly compression: boolean;
  /** Bytes of the column's own block cache; 0 turns it off. */
  readonly cacheSize: number;
  readonly cacheIndexAndFilterBlocks?: boolean;
  readonly blockSize: number;
  /** For instance `bloomfilter:10:false`; ten bits a key by default. */
  readonly filterPolicy?: string;
}

export interface NativeOpenOptions extends NativeColumnOptions {
  readonly createIfMissing: boolean;
  /** Background threads for compaction; flushes have one of their own. */
  readonly parallelism: number;
  readonly walCompression: boolean;
  readonly columns: Readonly<Record<string, NativeColumnOptions>>;
}

/** Undefined means the default column, for which the native side needs no property look-ups. */
export type ColumnChoice = { readonly column: ColumnHandle } | undefined;

export interface NativeIteratorOptions {
  /** The default column when undefined. */
  readonly column: ColumnHandle | undefined;
  readonly gte: Uint8Array | undefined;
  readonly lt: Uint8Array | undefined;
  readonly reverse: boolean;
  readonly keys: boolean;
  readonly values: boolean;
  readonly keyEncoding: 'buffer';
  readonly valueEncoding: 'buffer';
  readonly asyncIO: boolean;
  /** Ends a batch after the row with which its keys and values come to more than this many bytes. */
  readonly highWaterMarkBytes?: number;
}

/** All rows of the default column, as buffers. */
export const ALL_ROWS: NativeIteratorOptions = {
  column: undefined,
  gte: undefined,
  lt: undefined,
  reverse: false,
  keys: true,
  values: true,
  keyEncoding: 'buffer',
  valueEncoding: 'buffer',
  asyncIO: false,
};

type Callback<T> = (error: Error | null, result: T) => void;

export interface RocksBinding {
  db_init(locationOrSharedHandle: string | bigint): DatabaseHandle;
  db_open(
    database: DatabaseHandle,
    options: NativeOpenOptions | object,
    callback: Callback<Record<string, ColumnHandle>>,
  ): Record<string, ColumnHandle> | undefined;
  db_close(database: DatabaseHandle, callback: Callback<void>): void;
  db_get_handle(database: DatabaseHandle): bigint;
  db_get_many_sync(
    database: DatabaseHandle,
    keys: readonly Uint8Array[],
    options: ColumnChoice,
  ): (Buffer | undefined)[];
  /** The number of the last write that readers see. */
  db_get_latest_sequence(database: DatabaseHandle): number;
  db_get_property(database: DatabaseHandle, property: string): string;
  /** Deletes all rows of a range with one mark. The call does not read them. */
  db_clear(
    database: DatabaseHandle,
    range: { readonly column: ColumnHandle | undefined; readonly gte: Uint8Array; readonly lt: Uint8Array },
  ): void;
  iterator_init(database: DatabaseHandle, options: NativeIteratorOptions): IteratorHandle;
  /** Moves an iterator within the view it was made with. */
  iterator_seek(iterator: IteratorHandle, target: Uint8Array): void;
  iterator_nextv_sync(
    iterator: IteratorHandle,
    count: number,
  ): { rows: (Buffer | undefined)[]; finished: boolean };
  iterator_close(iterator: IteratorHandle): void;
  batch_init(): BatchHandle;
  batch_put(batch: BatchHandle, key: Uint8Array, value: Uint8Array, options: ColumnChoice): void;
  batch_del(batch: BatchHandle, key: Uint8Array, options: ColumnChoice): void;
  batch_clear(batch: BatchHandle): void;
  batch_write(database: DatabaseHandle, batch: BatchHandle, options: { sync?: boolean } | undefined): void;
}

let loaded: RocksBinding | undefined;

/** Loads the native library on first use. Later calls return the same object. */
export function rocksBinding(): RocksBinding {
  loaded ??= createRequire(import.meta.url)('@nxtedition/rocksdb/binding.js') as RocksBinding;
  return loaded;
}
