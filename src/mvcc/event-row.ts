import { REVISION_BYTES, readMain, readSub, writeRevision } from './revision.ts';

/**
 * Values of the `event` column, whose keys are revisions: what happened, which revision of the same key it
 * superseded, and the KeyValue's bytes exactly as etcd stores them. The back pointer lets compaction find what to
 * remove by one scan of the changes since the last compaction, with no lookups.
 */
const DELETE = 1;
const CREATE = 2;
const SUPERSEDES = 4;

export interface EventRow {
  readonly isDelete: boolean;
  /** The put brought the key into being. */
  readonly isCreate: boolean;
  readonly previous: { readonly main: number; readonly sub: number } | undefined;
  /** The encoded KeyValue; of a delete, one with the key alone. */
  readonly kv: Buffer;
}

export function encodeEventRow(
  kind: { isDelete: boolean; isCreate: boolean },
  previousMain: number,
  previousSub: number,
  kv: Buffer,
): Buffer {
  const header = previousMain === 0 ? 1 : 1 + REVISION_BYTES;
  const row = Buffer.allocUnsafe(header + kv.length);
  row[0] =
    (kind.isDelete ? DELETE : 0) | (kind.isCreate ? CREATE : 0) | (previousMain === 0 ? 0 : SUPERSEDES);
  if (previousMain !== 0) writeRevision(row, 1, previousMain, previousSub);
  row.set(kv, header);
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
