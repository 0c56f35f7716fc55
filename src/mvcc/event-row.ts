import { REVISION_BYTES, readMain, readSub, writeRevision } from './revision.ts';

/**
 * Values of the `event` column, whose keys are revisions. A value holds the kind of change, the revision of the same
 * key that it superseded (the back pointer), and the KeyValue's bytes exactly as etcd stores them. By the back
 * pointers, compaction finds what to remove with one scan of the changes since the last compaction and no lookups.
 */
const DELETE = 1;
const CREATE = 2;
const SUPERSEDES = 4;

export interface EventRow {
  readonly isDelete: boolean;
  /** The put created the key. */
  readonly isCreate: boolean;
  readonly previous: { readonly main: number; readonly sub: number } | undefined;
  /** The encoded KeyValue. For a delete it has only the key. */
  readonly kv: Buffer;
}

interface EventKind {
  readonly isDelete: boolean;
  readonly isCreate: boolean;
}

export function encodeEventRow(
  kind: EventKind,
  previousMain: number,
  previousSub: number,
  kv: Buffer,
): Buffer {
  const row = beginEventRow(kind, { main: previousMain, sub: previousSub }, kv.length);
  row.set(kv, row.length - kv.length);
  return row;
}

/**
 * A row whose last `kvBytes` bytes, the KeyValue, are for the caller to fill: the KeyValue is encoded right where it is
 * stored from. A `previous.main` of 0 means that the key did not exist before.
 */
export function beginEventRow(
  kind: EventKind,
  previous: { readonly main: number; readonly sub: number },
  kvBytes: number,
): Buffer {
  const { main, sub } = previous;
  const row = Buffer.allocUnsafe((main === 0 ? 1 : 1 + REVISION_BYTES) + kvBytes);
  row[0] = (kind.isDelete ? DELETE : 0) | (kind.isCreate ? CREATE : 0) | (main === 0 ? 0 : SUPERSEDES);
  if (main !== 0) writeRevision(row, 1, main, sub);
  return row;
}

export function eventKeyValue(row: Buffer): Buffer {
  return row.subarray(((row[0] ?? 0) & SUPERSEDES) === 0 ? 1 : 1 + REVISION_BYTES);
}

export function eventIsDelete(row: Buffer): boolean {
  return ((row[0] ?? 0) & DELETE) !== 0;
}

export function decodeEventRow(row: Buffer): EventRow {
  const flags = row[0] ?? 0;
  return {
    isDelete: (flags & DELETE) !== 0,
    isCreate: (flags & CREATE) !== 0,
    previous: (flags & SUPERSEDES) === 0 ? undefined : { main: readMain(row, 1), sub: readSub(row, 1) },
    kv: eventKeyValue(row),
  };
}
