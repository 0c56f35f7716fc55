import type { Column } from '../ports/engine.ts';
import type { NativeColumnOptions, NativeOpenOptions } from './rocksdb-binding.ts';

/**
 * The column family and key prefix of a column.
 *
 * RocksDB keeps its own log until every column family with a row in it has flushed. A family that is rarely written
 * would keep hundreds of megabytes of log, and slow the next start. So the small columns share a family with a column
 * that is written often.
 *
 * That column is `version` and not `event`. Events are written in the order of their keys, so their files do not
 * overlap, and move down the levels without being rewritten. If each file had rows of other columns, all files would
 * overlap, and every flush would rewrite the level below.
 */
export interface ColumnPlace {
  readonly family: 'default' | 'latest' | 'version';
  /** Prefix of the stored keys; undefined if keys have none. */
  readonly prefix: Buffer | undefined;
}

/** The lowest start of a key in the column `version`: a zero byte of a user key is stored as these two bytes. */
export const firstVersionKey = Buffer.from([0x00, 0xff]);

const small = (letter: string): ColumnPlace => ({
  family: 'version',
  prefix: Buffer.from([0x00, letter.charCodeAt(0)]),
});

export const columnPlaces: Readonly<Record<Column, ColumnPlace>> = {
  event: { family: 'default', prefix: undefined },
  latest: { family: 'latest', prefix: undefined },
  version: { family: 'version', prefix: undefined },
  auth: small('a'),
  lease: small('l'),
  meta: small('m'),
};

/** The first key after all keys with `prefix`. The last byte of a prefix is a letter, so it can be incremented. */
export function prefixEnd(prefix: Buffer): Buffer {
  const end = Buffer.from(prefix);
  end[end.length - 1] = (prefix.at(-1) ?? 0) + 1;
  return end;
}

export interface RocksTuning {
  /** Bytes of decompressed blocks kept in memory, over all columns. */
  readonly blockCacheBytes: number;
  readonly compactionThreads: number;
}

/** Suited to a small machine. The page cache of the operating system also holds compressed blocks. */
export const defaultTuning: RocksTuning = { blockCacheBytes: 64 << 20, compactionThreads: 1 };

const family = (memtableMemoryBudget: number, blockSize: number, cacheSize: number): NativeColumnOptions => ({
  compaction: 'level',
  compression: false,
  memtableMemoryBudget,
  blockSize,
  cacheSize,
});

const EVENT_MEMORY = 32 << 20;
/** Small buffers flush about as often as those of the events, so that they keep little of RocksDB's log. */
const INDEX_MEMORY = 6 << 20;

/** After this many bytes written to a family, all earlier rows are in files: two buffers of a quarter each. */
export const flushedBytes = {
  event: EVENT_MEMORY / 2,
  latest: INDEX_MEMORY / 2,
  version: INDEX_MEMORY / 2,
} as const;

/** Options of the whole database. The info log stays off as long as no level is named. */
export function openOptions(tuning: RocksTuning): NativeOpenOptions {
  const event = family(EVENT_MEMORY, 8 << 10, tuning.blockCacheBytes >>> 1);
  const latest = family(INDEX_MEMORY, 4 << 10, tuning.blockCacheBytes >>> 2);
  const version = family(INDEX_MEMORY, 4 << 10, tuning.blockCacheBytes >>> 2);
  return {
    ...event,
    createIfMissing: true,
    parallelism: tuning.compactionThreads,
    walCompression: false,
    columns: { default: event, latest, version },
  };
}
