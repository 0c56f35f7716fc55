import { existsSync, promises as fs, readdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { stageAppliedState } from '../apply/applied-state.ts';
import { parseInitialCluster } from '../config/initial-cluster.ts';
import { defined } from '../lib/assert.ts';
import { reasonOf } from '../lib/text.ts';
import { bootstrapCluster } from '../membership/cluster.ts';
import type { ClusterMember } from '../membership/member.ts';
import { encodeMember } from '../membership/member-json.ts';
import { memberRow, rows, rowsWith } from '../membership/rows.ts';
import { encodeEventRow } from '../mvcc/event-row.ts';
import { encodeRevision } from '../mvcc/revision.ts';
import { MvccStore } from '../mvcc/store.ts';
import type { Engine, WriteBatch } from '../ports/engine.ts';
import { encodeIdentity } from '../server/identity.ts';
import type { ImportedState } from '../snapshot/import-backend.ts';
import { importSnapshot } from '../snapshot/import-snapshot.ts';
import { verifyChecksum } from '../snapshot/import-task.ts';
import { dataDirectory, prepareDataDirectory, type DataDirectory } from '../storage/data-dir.ts';
import { DiskSpace } from '../storage/disk-space.ts';
import { RocksEngine } from '../storage/rocks-engine.ts';
import { beginMaking, finishMaking, isUnfinished } from '../storage/unfinished.ts';
import { segmentBytesFor } from '../storage/wal/segment-bytes.ts';
import { createLog, logExists } from '../storage/wal/open-log.ts';
import { ConfState, HardState } from '../wire/gen/raftpb.ts';
import { EMPTY } from '../wire/reader.ts';
import { isJsonWanted } from './client/client-flags.ts';
import { Progress } from './progress.ts';
import { withSnapshotFile } from './snapshot-source.ts';

export interface RestoreOptions {
  /** A snapshot saved from etcd or Keystead. */
  readonly file: string;
  readonly name: string;
  readonly dataDir: string;
  readonly walDir: string;
  readonly initialCluster: string;
  readonly initialClusterToken: string;
  readonly advertisePeerUrls: readonly string[];
  /** Accepts files without a checksum or with a wrong one. */
  readonly skipHashCheck: boolean;
  /** Added to the latest revision, which is then marked as compacted; 0 means no change. */
  readonly bumpRevision: number;
  /** Does nothing if the directory has data, or if this member is not in the initial cluster. */
  readonly isInit: boolean;
  /** Called with the number of changes restored so far. */
  readonly onProgress?: (changes: number) => void;
  /** Checks the restored store, before its revision is raised. Throws if it is not what it should be. */
  readonly check?: (engine: RocksEngine) => Promise<void>;
}

/** The first term of a restored cluster. */
const FIRST_TERM = 1;

/**
 * Creates the data directory of a member of a new cluster from a snapshot. All members must be created with the same
 * flags. They start with the same data.
 *
 * @throws Error if the flags are inconsistent, the file is damaged, or the directory is not empty
 */
export async function restoreSnapshot(options: RestoreOptions): Promise<ImportedState> {
  const initial = parseInitialCluster(options.initialCluster);
  const own = initial.get(options.name);
  if (own === undefined)
    throw new Error(`couldn't find local name "${options.name}" in the initial cluster configuration`);
  if (own.join() !== [...options.advertisePeerUrls].sort().join())
    throw new Error(
      `--initial-cluster gives ${options.name} ${own.join()}, --initial-advertise-peer-urls ${options.advertisePeerUrls.join()}`,
    );
  const cluster = bootstrapCluster(initial, options.initialClusterToken);
  if (cluster === undefined) throw new Error('the initial cluster configuration has duplicate URLs');
  const { id: clusterId, members } = cluster;
  const local = defined(
    members.find(({ name }) => name === options.name),
    'the new cluster contains its initial members',
  );
  const directory = dataDirectory(options.dataDir, options.walDir);
  if (existsSync(directory.root) && readdirSync(directory.root).length > 0)
    throw new Error(`data-dir "${options.dataDir}" not empty or could not be read`);
  if (logExists(directory.wal)) throw new Error(`wal-dir "${directory.wal}" exists`);
  if (!options.skipHashCheck && !verifyChecksum(options.file))
    throw new Error('snapshot missing hash but --skip-hash-check=false');

  prepareDataDirectory(directory);
  beginMaking(directory, 'snapshot restore');
  try {
    const state = await fill(directory, options, { clusterId, members, localId: local.id });
    finishMaking(directory);
    return state;
  } catch (error) {
    await fs.rm(dirname(directory.rocksdb), { recursive: true, force: true });
    if (logExists(directory.wal)) await fs.rm(directory.wal, { recursive: true });
    throw error;
  }
}

interface NewCluster {
  readonly clusterId: bigint;
  readonly members: readonly ClusterMember[];
  /** The member that the data directory is for. */
  readonly localId: bigint;
}

async function fill(
  directory: DataDirectory,
  options: RestoreOptions,
  { clusterId, members, localId }: NewCluster,
): Promise<ImportedState> {
  const state = await importSnapshot({
    file: options.file,
    directory: directory.rocksdb,
    skipChecksum: true,
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
  });
  const confState = ConfState.create({ voters: members.map((member) => member.id) });
  const begin = { index: members.length, term: FIRST_TERM, confState };
  const engine = await RocksEngine.open(directory.rocksdb);
  try {
    await options.check?.(engine);
    const batch = engine.batch();
    replaceMembers(engine, batch, members);
    if (options.bumpRevision > 0) bumpRevision(engine, batch, options.bumpRevision);
    stageAppliedState(batch, begin);
    engine.write(batch);
    await engine.syncLog();
  } finally {
    await engine.close();
  }
  await writeLog(directory.wal, encodeIdentity({ memberId: localId, clusterId }), begin);
  return state;
}

function replaceMembers(engine: Engine, batch: WriteBatch, members: readonly ClusterMember[]): void {
  for (const prefix of [rows.members, rows.removed]) {
    const old = engine.iterate('meta', { ...rowsWith(prefix), keysOnly: true });
    for (let chunk = old.next(100); chunk.length > 0; chunk = old.next(100))
      for (let n = 0; n < chunk.length; n += 2) batch.del('meta', defined(chunk[n], 'rows come in pairs'));
    old.close();
  }
  for (const member of members) batch.put('meta', memberRow(member.id), encodeMember(member));
}

/**
 * Raises the revision, so that no revision known to a client is in the future, and marks it as compacted, so that older
 * ones cannot be read.
 */
function bumpRevision(engine: Engine, batch: WriteBatch, amount: number): void {
  const store = new MvccStore(engine);
  const revision = store.revision + amount;
  // As etcd, writes a change without a key, which is part of HashKV.
  const placeholder = encodeEventRow({ isDelete: false, isCreate: false }, 0, 0, EMPTY);
  batch.put('event', encodeRevision(revision, 0), placeholder);
  store.meta.stageRevision(batch, revision);
  store.meta.stageCompaction(batch, revision);
}

/** Creates a log that starts after the entries that would have added the members. */
async function writeLog(
  directory: string,
  metadata: Buffer,
  begin: { readonly index: number; readonly term: number; readonly confState: ConfState },
): Promise<void> {
  await fs.mkdir(directory, { recursive: true, mode: 0o700 });
  const space = await DiskSpace.watch(directory);
  try {
    let failure: Error | undefined;
    const onFailure = (error: Error): void => {
      failure = error;
    };
    const options = { directory, segmentBytes: segmentBytesFor(space.capacity), onFailure };
    const { log } = createLog(options, metadata, begin);
    const hardState = HardState.create({ term: begin.term, commit: begin.index });
    log.append({ entries: [], hardState }, () => undefined);
    await log.close();
    if (failure !== undefined) throw failure;
  } finally {
    space.stop();
  }
}

const USAGE = `Usage: keystead snapshot restore <file or URL> --data-dir <directory> [options]

Creates the data directory of a member of a new cluster from a snapshot of etcd or Keystead.

  --name                          Human-readable name for this member (default "default")
  --initial-cluster               Members of the new cluster (default "<name>=http://localhost:2380")
  --initial-cluster-token         Token of the new cluster (default "etcd-cluster")
  --initial-advertise-peer-urls   This member's peer URLs (default "http://localhost:2380")
  --wal-dir                       Directory of the log (default: inside the data directory)
  --skip-hash-check               Accept a file without a checksum, such as a copy from a data directory
  --bump-revision                 Number to add to the latest revision
  --mark-compacted                Mark the raised revision as compacted; required with --bump-revision
  --init                          For an init container: does nothing if the directory has data, or if --initial-cluster
                                  does not contain this member, which then joins later
  -o, --output                    text or json (default "text")

Use "keystead snapshot save" or "etcdctl snapshot save" to save a snapshot and "etcdutl snapshot status" to inspect it.
`;

const text = (value: string) => ({ type: 'string' as const, default: value });
const flag = { type: 'boolean' as const, default: false };

/** The flags of a restore, for `parseArgs`. */
export const restoreFlags = {
  name: text('default'),
  'data-dir': { type: 'string' },
  'wal-dir': text(''),
  'initial-cluster': { type: 'string' },
  'initial-cluster-token': text('etcd-cluster'),
  'initial-advertise-peer-urls': text('http://localhost:2380'),
  'bump-revision': { type: 'string' },
  'mark-compacted': flag,
  init: flag,
} as const;

export type RestoreValues = ReturnType<typeof parseArgs<{ options: typeof restoreFlags }>>['values'];

/** @throws Error if a value is invalid */
export function restoreOptions(
  values: RestoreValues,
  { file, skipHashCheck, bump }: { file: string; skipHashCheck: boolean; bump: number },
): RestoreOptions {
  const bumpRevision = Number(values['bump-revision'] ?? bump);
  if (!Number.isSafeInteger(bumpRevision) || bumpRevision < 0)
    throw new Error('--bump-revision must be a number');
  const { name } = values;
  return {
    file,
    name,
    dataDir: values['data-dir'] ?? `${name}.etcd`,
    walDir: values['wal-dir'],
    initialCluster: values['initial-cluster'] ?? `${name}=http://localhost:2380`,
    initialClusterToken: values['initial-cluster-token'],
    advertisePeerUrls: values['initial-advertise-peer-urls'].split(','),
    skipHashCheck,
    bumpRevision,
    isInit: values.init,
  };
}

/** The flags of `snapshot restore`, for `parseArgs`. */
export const snapshotRestoreFlags = {
  ...restoreFlags,
  'skip-hash-check': flag,
  output: { type: 'string', short: 'o', default: 'text' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

interface Parsed extends RestoreOptions {
  readonly isJson: boolean;
}

/** @returns the text of an error; undefined for --help */
function parse(args: readonly string[]): Parsed | string | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: snapshotRestoreFlags,
  });
  if (values.help) return undefined;
  const [command, file, ...rest] = positionals;
  if (command !== 'restore' || file === undefined || rest.length > 0) return USAGE;
  const options = restoreOptions(values, { file, skipHashCheck: values['skip-hash-check'], bump: 0 });
  if (options.bumpRevision > 0 !== values['mark-compacted'])
    return '--mark-compacted required if --bump-revision > 0\n';
  return { ...options, isJson: isJsonWanted(values.output) };
}

/** Why an init container has nothing to restore; undefined if it has to. */
export function reasonToSkip({
  isInit,
  name,
  initialCluster,
  dataDir,
  walDir,
}: RestoreOptions): string | undefined {
  if (!isInit) return undefined;
  const directory = dataDirectory(dataDir, walDir);
  // After a restore that was interrupted, all is done again.
  if (isUnfinished(directory)) rmSync(dirname(directory.rocksdb), { recursive: true, force: true });
  if (logExists(directory.wal)) return `${dataDir} has data`;
  if (!parseInitialCluster(initialCluster).has(name)) return `${name} is no member of the initial cluster`;
  return undefined;
}

/** The `snapshot` subcommand. Returns the exit code. */
export async function runSnapshot(
  args: readonly string[],
  out: (text: string) => void,
  err: (text: string) => void,
): Promise<number> {
  let options: Parsed | string | undefined;
  try {
    options = parse(args);
  } catch (error) {
    options = reasonOf(error);
  }
  if (options === undefined) {
    out(USAGE);
    return 0;
  }
  if (typeof options === 'string') {
    err(`keystead snapshot: ${options}`);
    return 2;
  }
  const { isJson, dataDir } = options;
  const progress = new Progress();
  try {
    const reason = reasonToSkip(options);
    if (reason !== undefined) {
      out(isJson ? JSON.stringify({ skipped: reason }) : `nothing to restore: ${reason}`);
      return 0;
    }
    const { keys, events, revision } = await withSnapshotFile(options.file, dataDir, (file) =>
      restoreSnapshot({
        ...options,
        file,
        onProgress: (changes) => progress.show('restoring', 'changes', changes),
      }),
    ).finally(() => progress.end());
    out(
      isJson
        ? JSON.stringify({ keys, events, revision, dataDir })
        : `restored ${keys} keys and ${events} changes up to revision ${revision} into ${dataDir}`,
    );
    return 0;
  } catch (error) {
    err(`keystead snapshot: ${reasonOf(error)}`);
    return 1;
  }
}
