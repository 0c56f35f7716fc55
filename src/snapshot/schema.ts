/** The buckets of etcd 3.7's database, and the keys of buckets with fixed keys. */
export const Bucket = {
  alarm: 'alarm',
  auth: 'auth',
  authRoles: 'authRoles',
  authUsers: 'authUsers',
  cluster: 'cluster',
  key: 'key',
  lease: 'lease',
  members: 'members',
  membersRemoved: 'members_removed',
  meta: 'meta',
} as const;

export const MetaKey = {
  /** raftpb.ConfState as JSON. */
  confState: 'confState',
  /** Index of the last applied entry, 8 bytes, big-endian. */
  consistentIndex: 'consistent_index',
  /** Revisions, as bucket keys. */
  finishedCompaction: 'finishedCompactRev',
  scheduledCompaction: 'scheduledCompactRev',
  /** Version of this schema, "3.7.0"; missing before etcd 3.6. */
  storageVersion: 'storageVersion',
  /** Term of the last applied entry, 8 bytes, big-endian; missing before etcd 3.5. */
  term: 'term',
} as const;

export const DEFAULT_STORAGE_VERSION = '3.7.0';

/** Keys of the bucket `key`: 8 bytes main, an underscore, 8 bytes sub, and a `t` behind tombstones. */
const REVISION_KEY_BYTES = 17;
const UNDERSCORE = 0x5f;
const TOMBSTONE = 0x74;
const TWO_32 = 2 ** 32;

export function revisionKey(main: number, sub: number, isDelete: boolean): Buffer {
  const key = Buffer.alloc(isDelete ? REVISION_KEY_BYTES + 1 : REVISION_KEY_BYTES);
  key.writeUInt32BE(Math.floor(main / TWO_32), 0);
  key.writeUInt32BE(main % TWO_32, 4);
  key[8] = UNDERSCORE;
  key.writeUInt32BE(sub, 13);
  if (isDelete) key[REVISION_KEY_BYTES] = TOMBSTONE;
  return key;
}

export interface RevisionKey {
  readonly main: number;
  readonly sub: number;
  readonly isDelete: boolean;
}

/** @returns undefined if the bytes are not a revision, or one that is too large for the store */
export function parseRevisionKey(key: Buffer): RevisionKey | undefined {
  const isDelete = key.length === REVISION_KEY_BYTES + 1 && key[REVISION_KEY_BYTES] === TOMBSTONE;
  if ((key.length !== REVISION_KEY_BYTES && !isDelete) || key[8] !== UNDERSCORE) return undefined;
  const main = key.readUInt32BE(0) * TWO_32 + key.readUInt32BE(4);
  const sub = key.readUInt32BE(9) * TWO_32 + key.readUInt32BE(13);
  // The store's own revisions keep 7 bytes of the main and 4 bytes of the sub revision.
  return main > Number.MAX_SAFE_INTEGER || sub >= TWO_32 ? undefined : { main, sub, isDelete };
}
