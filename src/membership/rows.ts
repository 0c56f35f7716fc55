import { hex } from '../lib/text.ts';

/**
 * Rows of the `meta` column. Their names are those of etcd's buckets, so that a snapshot can map them one to one:
 *
 * - `members/` + ID in hex: the member's JSON
 * - `members_removed/` + ID in hex: "removed"
 * - `cluster/clusterVersion`: semantic version
 * - `cluster/downgrade`: {"target-version":"...","enabled":...}
 */
export const rows = {
  members: 'members/',
  removed: 'members_removed/',
  clusterVersion: Buffer.from('cluster/clusterVersion'),
  downgrade: Buffer.from('cluster/downgrade'),
} as const;

export function memberRow(id: bigint): Buffer {
  return Buffer.from(rows.members + hex(id));
}

export function removedRow(id: bigint): Buffer {
  return Buffer.from(rows.removed + hex(id));
}

/** The range of all rows with an ASCII prefix. */
export function rowsWith(prefix: string): { gte: Buffer; lt: Buffer } {
  const gte = Buffer.from(prefix);
  const lt = Buffer.from(gte);
  lt.writeUInt8(lt.readUInt8(lt.length - 1) + 1, lt.length - 1);
  return { gte, lt };
}
