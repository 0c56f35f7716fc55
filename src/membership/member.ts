import { sha1 } from '@noble/hashes/legacy.js';
import type { MemberFields } from '../wire/member-json.ts';

/** A member of the cluster, as all members know it. */
export type ClusterMember = MemberFields;

/** A member publishes its name when it first starts. Until then it is not started. */
export function isStarted(member: ClusterMember): boolean {
  return member.name !== '';
}

/**
 * The member ID, as etcd computes it: a hash of the sorted peer URLs, the cluster token and, for a member added to a
 * running cluster, the current second. So a member that is removed and added again gets another ID.
 */
export function memberId(origin: {
  readonly peerUrls: readonly string[];
  readonly token: string;
  readonly wallSeconds?: number;
}): bigint {
  const urls = [...origin.peerUrls].sort(byBytes).join('');
  const when = origin.wallSeconds === undefined ? '' : String(Math.floor(origin.wallSeconds));
  return firstEightBytes(sha1(Buffer.from(urls + origin.token + when)));
}

/** The ID of a cluster that is bootstrapped with these members. */
export function clusterId(memberIds: readonly bigint[]): bigint {
  const sorted = [...memberIds].sort(ascending);
  const bytes = Buffer.alloc(8 * sorted.length);
  for (const [i, id] of sorted.entries()) bytes.writeBigUInt64BE(id, 8 * i);
  return firstEightBytes(sha1(bytes));
}

function firstEightBytes(digest: Uint8Array): bigint {
  return Buffer.from(digest).readBigUInt64BE(0);
}

export function ascending(a: bigint, b: bigint): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
