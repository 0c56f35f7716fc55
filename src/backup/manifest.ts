import type { EntryId } from '../ports/applied-log.ts';

/** What is known about one backup. It is stored as JSON next to the backup's object, and written after it. */
export interface Manifest {
  readonly formatVersion: typeof FORMAT_VERSION;
  /** Unique in its place: sequence, revision, time, and a random part. */
  readonly id: string;
  /** One more than that of the backup before it. It gives the order, because clocks can step. */
  readonly sequence: number;
  /** In hexadecimal, as etcdctl prints them. */
  readonly clusterId: string;
  readonly memberId: string;
  readonly revision: number;
  /** -1 if nothing was compacted. */
  readonly compactRevision: number;
  /** The last entry of the raft log that is in the snapshot. Earlier versions did not record it. */
  readonly applied?: EntryId;
  /** HashKV of the running member at `revision`, when `compactRevision` was compacted. */
  readonly hashKv: number;
  /** The object with the snapshot, its size in bytes, and the SHA-256 of these bytes in hexadecimal. */
  readonly object: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Undefined if the object is not encrypted. */
  readonly encryption?: { readonly algorithm: 'AES-256-GCM'; readonly keyId: string };
  /** When the snapshot was taken, in ISO format. */
  readonly time: string;
  readonly keysteadVersion: string;
  /** When a trial restore last succeeded, in ISO format. */
  readonly verifiedAt?: string;
  /** What the last verification found. Undefined if it found nothing, and before the first one. */
  readonly damage?: string | undefined;
}

const FORMAT_VERSION = 1;

export const MANIFEST_SUFFIX = '.json';
const ID = /^(\d{8,15})-(\d{1,16})-\d{8}T\d{6}Z-[0-9a-f]{8}$/;

/** @param random 8 hexadecimal digits */
export function backupId(sequence: number, revision: number, time: Date, random: string): string {
  const stamp = time.toISOString().replace(/[-:]|\.\d+/g, '');
  return `${String(sequence).padStart(8, '0')}-${revision}-${stamp}-${random}`;
}

/** The sequence in the name of an object of a backup; undefined for other names. */
export function sequenceOf(name: string): number | undefined {
  const id = name.replace(/\.(json|db|db\.enc)$/, '');
  const [, sequence] = ID.exec(id) ?? [];
  return sequence === undefined ? undefined : Number(sequence);
}

export function objectName(id: string, isEncrypted: boolean): string {
  return isEncrypted ? `${id}.db.enc` : `${id}.db`;
}

export function manifestName(id: string): string {
  return `${id}${MANIFEST_SUFFIX}`;
}

export function encodeManifest(manifest: Omit<Manifest, 'formatVersion'>): Buffer {
  return Buffer.from(`${JSON.stringify({ formatVersion: FORMAT_VERSION, ...manifest }, undefined, 2)}\n`);
}

const hexText = (value: unknown, digits: string): boolean =>
  typeof value === 'string' && new RegExp(`^[0-9a-f]{${digits}}$`).test(value);
const isTime = (value: unknown): boolean => typeof value === 'string' && !Number.isNaN(Date.parse(value));
const isCount = (value: unknown, least: number): boolean =>
  Number.isSafeInteger(value) && Number(value) >= least;
const isAbsentOr = (value: unknown, check: (value: unknown) => boolean): boolean =>
  value === undefined || check(value);

const checks: Readonly<Record<keyof Manifest, (value: unknown, id: string) => boolean>> = {
  formatVersion: (value) => value === FORMAT_VERSION,
  id: (value, id) => value === id,
  sequence: (value, id) => value === sequenceOf(id),
  clusterId: (value) => hexText(value, '1,16'),
  memberId: (value) => hexText(value, '1,16'),
  revision: (value) => isCount(value, 1),
  compactRevision: (value) => isCount(value, -1),
  applied: (value) => isAbsentOr(value, isEntry),
  hashKv: (value) => isCount(value, 0),
  object: (value, id) => value === objectName(id, false) || value === objectName(id, true),
  bytes: (value) => isCount(value, 1),
  sha256: (value) => hexText(value, '64'),
  encryption: (value) => isAbsentOr(value, isEncryption),
  time: isTime,
  keysteadVersion: (value) => typeof value === 'string',
  verifiedAt: (value) => isAbsentOr(value, isTime),
  damage: (value) => isAbsentOr(value, (text) => typeof text === 'string'),
};

function isEntry(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { index, term } = value as Record<string, unknown>;
  return isCount(index, 0) && isCount(term, 0);
}

function isEncryption(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { algorithm, keyId } = value as Record<string, unknown>;
  return algorithm === 'AES-256-GCM' && hexText(keyId, '16');
}

/**
 * @param id from the name of the manifest
 * @throws Error that names the first field that is missing or wrong
 */
export function decodeManifest(bytes: Buffer, id: string): Manifest {
  let parsed: unknown;
  try {
    parsed = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new Error('it is not JSON');
  }
  if (typeof parsed !== 'object' || parsed === null) throw new Error('it is not an object');
  const fields = parsed as Record<string, unknown>;
  for (const [name, check] of Object.entries(checks))
    if (!check(fields[name], id)) throw new Error(`its field ${name} is missing or wrong`);
  return fields as unknown as Manifest;
}

/**
 * Compares by age, older first. The order does not depend on a clock: the sequence decides, and the revision if two
 * backups ran at the same time.
 */
export function byOrder(
  a: Pick<Manifest, 'sequence' | 'revision' | 'id'>,
  b: Pick<Manifest, 'sequence' | 'revision' | 'id'>,
): number {
  return a.sequence - b.sequence || a.revision - b.revision || (a.id < b.id ? -1 : 1);
}
