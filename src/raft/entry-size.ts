import { varintSize } from '../wire/varint.ts';
import type { Entry } from './types.ts';

/** Bytes of one entry as raftpb encodes it: what message-size and apply-size limits count. */
export function entrySize(entry: Entry): number {
  let size = 2 + varintSize(entry.term) + varintSize(entry.index);
  if (entry.type !== 0) size += 2;
  if (entry.data !== undefined) size += 1 + varintSize(entry.data.length) + entry.data.length;
  return size;
}

export function entriesSize(entries: readonly Entry[]): number {
  let size = 0;
  for (const entry of entries) size += entrySize(entry);
  return size;
}

/** Bytes of only the data: the limits of uncommitted and in-flight bytes count these, so empty entries are free. */
export function payloadsSize(entries: readonly Entry[]): number {
  let size = 0;
  for (const entry of entries) size += entry.data?.length ?? 0;
  return size;
}

/**
 * How many of `entries[from, to)` fit into `maxSize` bytes. At least one if there is any, so that an oversized
 * entry still makes progress.
 */
export function countWithin(entries: readonly Entry[], from: number, to: number, maxSize: number): number {
  if (from >= to || maxSize === Infinity) return to - from;
  let size = 0;
  for (let i = from; i < to; i++) {
    const entry = entries[i];
    if (entry === undefined) return i - from;
    size += entrySize(entry);
    if (size > maxSize && i > from) return i - from;
  }
  return to - from;
}
