import { stageAppliedState } from '../apply/applied-state.ts';
import { rows as authRows } from '../auth/rows.ts';
import { BoltFormatError } from '../bbolt/errors.ts';
import type { BoltReader, BucketReader } from '../bbolt/reader.ts';
import { leaseRow } from '../lease/rows.ts';
import { reasonOf } from '../lib/text.ts';
import { rows as memberRows } from '../membership/rows.ts';
import { parseVersion } from '../membership/version.ts';
import { MvccStore } from '../mvcc/store.ts';
import type { EntryId } from '../ports/applied-log.ts';
import type { Column, Engine, WriteBatch } from '../ports/engine.ts';
import type { ConfState } from '../wire/gen/raftpb.ts';
import { confStateFromJson } from './conf-state-json.ts';
import { HistoryImport } from './history-import.ts';
import { Bucket, DEFAULT_STORAGE_VERSION, MetaKey, parseRevisionKey } from './schema.ts';

/** The applied state in a database. */
export interface ImportedState {
  readonly index: number;
  /** 0 if the database does not have it, as before etcd 3.5. */
  readonly term: number;
  /** Undefined if the database does not have it, as before etcd 3.5. */
  readonly confState: ConfState | undefined;
  readonly revision: number;
  /** -1 if nothing was compacted. */
  readonly compactRevision: number;
  /** The number of live keys. */
  readonly keys: number;
  /** The number of changes in the history. */
  readonly events: number;
  /** Empty before etcd 3.6. */
  readonly storageVersion: string;
}

const BATCH_ROWS = 1000;

/** Buckets whose rows are copied unchanged: their column, and the prefix of their keys. */
const copied: readonly (readonly [bucket: string, column: Column, prefix: string])[] = [
  [Bucket.alarm, 'meta', 'alarm/'],
  [Bucket.auth, 'auth', 'auth/'],
  [Bucket.authRoles, 'auth', authRows.roles],
  [Bucket.authUsers, 'auth', authRows.users],
  [Bucket.cluster, 'meta', 'cluster/'],
  [Bucket.members, 'meta', memberRows.members],
  [Bucket.membersRemoved, 'meta', memberRows.removed],
];

const NEWEST_SCHEMA = parseVersion(DEFAULT_STORAGE_VERSION);

/**
 * Fills an engine with the contents of etcd's database: the same history with the same revisions, so that HashKV is
 * the same, and leases, users, roles, members, alarms and the applied state. It needs memory for one batch and for
 * the IDs of the leases.
 *
 * @param engine an empty engine; it must not be used if this throws
 * @param onProgress called after each batch with the number of changes imported so far
 * @throws BoltFormatError if the file is damaged or holds data that etcd never writes
 */
export function importBackend(
  reader: BoltReader,
  engine: Engine,
  onProgress?: (events: number) => void,
): ImportedState {
  const buckets = new Map<string, BucketReader>();
  for (const { key, value, isBucket } of reader.root.elements())
    if (isBucket) buckets.set(key.toString('latin1'), reader.root.open(key, value));
  const history = buckets.get(Bucket.key);
  if (history === undefined)
    throw new BoltFormatError('there is no bucket "key": this is no database of etcd');
  const meta = readMeta(buckets.get(Bucket.meta));
  checkSchema(meta.storageVersion);

  const writer = new BatchWriter(engine);
  for (const [bucket, column, prefix] of copied) copyRows(writer, buckets.get(bucket), column, prefix);
  const leases = copyLeases(writer, buckets.get(Bucket.lease));
  writer.flush();

  const store = new MvccStore(engine, {
    cacheBytes: 32 << 20,
    keyChangeCapacity: 1,
    listCacheBytes: 0,
  });
  const imported = new HistoryImport({ engine, store, leases, compactRevision: meta.compactRevision });
  const { events, lastRevision } = imported.run(history.elements(), onProgress);

  const revision = Math.max(lastRevision, meta.compactRevision, 1);
  const batch = engine.batch();
  store.meta.stageRevision(batch, revision);
  if (meta.compactRevision >= 0) store.meta.stageCompaction(batch, meta.compactRevision);
  if (meta.finishedRevision >= 0) store.meta.stageFinished(batch, meta.finishedRevision);
  const { index, term, confState, storageVersion, compactRevision } = meta;
  if (confState !== undefined) stageAppliedState(batch, { index, term, confState });
  engine.write(batch);
  return { index, term, confState, revision, compactRevision, keys: store.keyCount, events, storageVersion };
}

/** The index of the last entry that is applied to a database. */
export function readAppliedIndex(reader: BoltReader): number {
  return readMeta(reader.root.bucket(Bucket.meta)).index;
}

/**
 * The latest revision in a database, the compacted one, which is -1 if nothing was compacted, and the last entry that is
 * applied. Its term is 0 before etcd 3.5.
 */
export function readPosition(reader: BoltReader): {
  revision: number;
  compactRevision: number;
  applied: EntryId;
} {
  const { compactRevision, index, term } = readMeta(reader.root.bucket(Bucket.meta));
  const last = reader.root.bucket(Bucket.key)?.last();
  const main = last === undefined ? 0 : (parseRevisionKey(last.key)?.main ?? 0);
  return { revision: Math.max(main, compactRevision, 1), compactRevision, applied: { index, term } };
}

interface BackendMeta {
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState | undefined;
  readonly compactRevision: number;
  readonly finishedRevision: number;
  readonly storageVersion: string;
}

function readMeta(bucket: BucketReader | undefined): BackendMeta {
  const values = new Map<string, Buffer>();
  for (const { key, value } of bucket?.elements() ?? []) values.set(key.toString('latin1'), value);
  const scheduled = readMark(values, MetaKey.scheduledCompaction);
  const finished = readMark(values, MetaKey.finishedCompaction);
  const confState = values.get(MetaKey.confState);
  return {
    index: readNumber(values, MetaKey.consistentIndex),
    term: readNumber(values, MetaKey.term),
    confState: confState === undefined ? undefined : readConfState(confState),
    compactRevision: Math.max(scheduled, finished),
    finishedRevision: finished,
    storageVersion: values.get(MetaKey.storageVersion)?.toString() ?? '',
  };
}

function readConfState(json: Buffer): ConfState {
  try {
    return confStateFromJson(json);
  } catch (error) {
    throw new BoltFormatError(`bucket "meta": ${reasonOf(error)}`);
  }
}

function readNumber(values: ReadonlyMap<string, Buffer>, name: string): number {
  const bytes = values.get(name);
  if (bytes === undefined) return 0;
  const value = bytes.length === 8 ? bytes.readBigUInt64BE(0) : undefined;
  if (value === undefined || value > BigInt(Number.MAX_SAFE_INTEGER))
    throw new BoltFormatError(`bucket "meta": ${name} is no number: ${bytes.toString('hex')}`);
  return Number(value);
}

function readMark(values: ReadonlyMap<string, Buffer>, name: string): number {
  const bytes = values.get(name);
  if (bytes === undefined) return -1;
  const revision = parseRevisionKey(bytes);
  if (revision === undefined)
    throw new BoltFormatError(`bucket "meta": ${name} is no revision: ${bytes.toString('hex')}`);
  return revision.main;
}

/** Patch numbers are ignored. A later version may hold data that this release would lose. */
function checkSchema(text: string): void {
  const version = parseVersion(text);
  if (version === undefined || NEWEST_SCHEMA === undefined) return;
  if (version.major !== NEWEST_SCHEMA.major || version.minor > NEWEST_SCHEMA.minor)
    throw new BoltFormatError(`its schema is of version ${text}, later than ${DEFAULT_STORAGE_VERSION}`);
}

function copyRows(
  writer: BatchWriter,
  bucket: BucketReader | undefined,
  column: Column,
  prefix: string,
): void {
  const before = Buffer.from(prefix);
  for (const { key, value } of bucket?.elements() ?? [])
    writer.put(column, Buffer.concat([before, key]), value);
}

function copyLeases(writer: BatchWriter, bucket: BucketReader | undefined): Set<bigint> {
  const ids = new Set<bigint>();
  for (const { key, value } of bucket?.elements() ?? []) {
    if (key.length !== 8)
      throw new BoltFormatError(`bucket "lease": ${key.toString('hex')} is no lease's id`);
    const id = key.readBigInt64BE(0);
    ids.add(id);
    writer.put('lease', leaseRow(id), value);
  }
  return ids;
}

/** Puts of independent rows, written in batches. */
class BatchWriter {
  readonly #engine: Engine;
  #batch: WriteBatch;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#batch = engine.batch();
  }

  put(column: Column, key: Buffer, value: Buffer): void {
    this.#batch.put(column, key, value);
    if (this.#batch.length >= BATCH_ROWS) this.flush();
  }

  flush(): void {
    this.#engine.write(this.#batch);
    this.#batch = this.#engine.batch();
  }
}
