import type { Column } from '../ports/engine.ts';
import type { NativeColumnOptions, NativeOpenOptions } from './rocksdb-binding.ts';

/**
 * Where a column's rows live.
 *
 * RocksDB keeps its own log until every column family with a row in it has flushed, so a family that is hardly
 * written would hold hundreds of megabytes of log and slow the next start: the small columns share a family with one
 * that is written as often as any.
 *
 * That is `version` and not `event`. Events are written in the order of their keys, so that the files they flush to
 * do not overlap and are moved down the levels as they are. With a row of another column in each of these files, all
 * would overlap, and every flush would have the level below rewritten.
 */
export interface ColumnPlace {
  readonly family: 'default' | 'latest' | 'version';
  /** What the stored key begins with; undefined where keys are stored as they are. */
  readonly prefix: Buffer | undefined;
}

/** No key of the column `version` begins with less: a zero byte of a user key is stored as these two. */
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

/** The key after all that begin with `prefix`. Its last byte is a letter, so that the next one exists. */
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
