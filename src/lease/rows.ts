import { EMPTY } from '../wire/reader.ts';

/**
 * Rows of the `lease` column:
 *
 * - `l` + ID (8 bytes, big-endian): leasepb.Lease, as etcd stores it.
 * - `k` + ID + user key: empty; the key is attached to the lease. These rows replace etcd's in-memory item map. A
 * lease's keys are read with one short ordered scan, and a start reads none of them.
 */
const LEASE = 0x6c;
const ATTACHED = 0x6b;
const HEAD = 9;

export function leaseRow(id: bigint): Buffer {
  const row = Buffer.allocUnsafe(HEAD);
  row[0] = LEASE;
  row.writeBigUInt64BE(BigInt.asUintN(64, id), 1);
  return row;
}

export function attachedRow(id: bigint, key: Uint8Array): Buffer {
  const row = Buffer.allocUnsafe(HEAD + key.length);
  row[0] = ATTACHED;
  row.writeBigUInt64BE(BigInt.asUintN(64, id), 1);
  row.set(key, HEAD);
  return row;
}

/** The user key in an `attachedRow`. It shares the row's memory. */
export function keyOfAttachedRow(row: Buffer): Buffer {
  return row.subarray(HEAD);
}

/** All rows of attached keys of one lease, in key order. */
export function attachedRange(id: bigint): { gte: Buffer; lt: Buffer } {
  const gte = attachedRow(id, EMPTY);
  return { gte, lt: successor(gte) };
}

export const allLeases = { gte: Buffer.from([LEASE]), lt: Buffer.from([LEASE + 1]) } as const;

/**
 * The first byte string after all that start with `prefix`. The prefix is never all 0xff, because rows start with a
 * letter.
 */
function successor(prefix: Buffer): Buffer {
  let end = prefix.length;
  while (end > 0 && prefix[end - 1] === 0xff) end--;
  const next = Buffer.from(prefix.subarray(0, end));
  next.writeUInt8(next.readUInt8(end - 1) + 1, end - 1);
  return next;
}
