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

export function eventRowSize(previousMain: number, kv: Buffer): number {
  return (previousMain === 0 ? 1 : 1 + REVISION_BYTES) + kv.length;
}

export function encodeEventRow(
  kind: EventKind,
  previousMain: number,
  previousSub: number,
  kv: Buffer,
): Buffer {
  const row = Buffer.allocUnsafe(eventRowSize(previousMain, kv));
  writeEventRow(row, kind, { main: previousMain, sub: previousSub }, kv);
  return row;
}

/**
 * Fills `row`, which has exactly the size of the row. A `previous.main` of 0 means that the key did not exist before.
 */
export function writeEventRow(
  row: Buffer,
  kind: EventKind,
  previous: { readonly main: number; readonly sub: number },
  kv: Buffer,
): void {
  const { main: previousMain, sub: previousSub } = previous;
  row[0] =
    (kind.isDelete ? DELETE : 0) | (kind.isCreate ? CREATE : 0) | (previousMain === 0 ? 0 : SUPERSEDES);
  if (previousMain !== 0) writeRevision(row, 1, previousMain, previousSub);
  row.set(kv, row.length - kv.length);
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
