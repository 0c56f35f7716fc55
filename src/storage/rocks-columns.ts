import type { Column } from '../ports/engine.ts';
import type { NativeColumnOptions, NativeOpenOptions } from './rocksdb-binding.ts';

/**
 * Where a column's rows live. RocksDB keeps its own log until every column family with a row in it has
 * flushed, so a family that is hardly written would hold hundreds of megabytes of log and slow the next
 * start. The small columns therefore share the family of `event`, told apart by a first byte that no event
 * key has: events begin with a zero byte.
 */
export interface ColumnPlace {
  readonly family: 'default' | 'latest' | 'version';
  /** First byte of the stored key; undefined where keys are stored as they are. */
  readonly prefix: number | undefined;
}

export const columnPlaces: Readonly<Record<Column, ColumnPlace>> = {
  event: { family: 'default', prefix: undefined },
  latest: { family: 'latest', prefix: undefined },
  version: { family: 'version', prefix: undefined },
  auth: { family: 'default', prefix: 0x61 },
  lease: { family: 'default', prefix: 0x6c },
  meta: { family: 'default', prefix: 0x6d },
};

/** End of the events within the shared family. */
export const firstPrefix = Buffer.from([0x01]);

export interface RocksTuning {
  /** Bytes of decompressed blocks kept in memory, over all columns. */
  readonly blockCacheBytes: number;
  readonly compactionThreads: number;
}

/** A small machine's share; the operating system's page cache holds compressed blocks beside it. */
export const defaultTuning: RocksTuning = { blockCacheBytes: 64 << 20, compactionThreads: 1 };

const family = (memtableMemoryBudget: number, blockSize: number, cacheSize: number): NativeColumnOptions => ({
  compaction: 'level',
  compression: false,
  memtableMemoryBudget,
  blockSize,
  cacheSize,
});

const eventMemory = 32 << 20;
/** Small buffers beside the events' flush about as often, so that they hold little of RocksDB's log back. */
const indexMemory = 6 << 20;

/** Bytes written to a family after which all it held before is in files: two buffers of a quarter each. */
export const flushedBytes = {
  event: eventMemory / 2,
  latest: indexMemory / 2,
  version: indexMemory / 2,
} as const;

/** Options of the whole database. The info log stays off as long as no level is named. */
export function openOptions(tuning: RocksTuning): NativeOpenOptions {
  const event = family(eventMemory, 8 << 10, tuning.blockCacheBytes >>> 1);
  const latest = family(indexMemory, 4 << 10, tuning.blockCacheBytes >>> 2);
  const version = family(indexMemory, 4 << 10, tuning.blockCacheBytes >>> 2);
  return {
    ...event,
    createIfMissing: true,
    parallelism: tuning.compactionThreads,
    walCompression: false,
    columns: { default: event, latest, version },
  };
}
