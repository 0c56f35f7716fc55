import {
  constants,
  existsSync,
  promises as fs,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { BoltReader } from '../bbolt/reader.ts';
import { reasonOf } from '../lib/text.ts';
import { FileSource } from '../snapshot/file-source.ts';
import { readAppliedIndex } from '../snapshot/import-backend.ts';
import type { ImportedState } from '../snapshot/import-backend.ts';
import { importSnapshot } from '../snapshot/import-snapshot.ts';
import { dataDirectory, prepareDataDirectory, syncPath, type DataDirectory } from '../storage/data-dir.ts';
import { buildingDirectory, storeExists } from '../storage/replacement.ts';
import { beginMaking, finishMaking, isUnfinished } from '../storage/unfinished.ts';
import { verifyDataDirectory } from './verify.ts';

export interface ImportOptions {
  /** Data directory of a stopped etcd member. */
  readonly from: string;
  /** Where its log is, if not in there. */
  readonly fromWal?: string;
  /** Data directory for Keystead, which is new, or etcd's own. */
  readonly to: string;
  readonly toWal?: string;
  readonly onProgress?: (events: number) => void;
}

/**
 * Takes over the data directory of a stopped etcd member: its database becomes Keystead's store, its log goes on as
 * it is. The member keeps its identity, so that Keystead takes its place in the cluster.
 *
 * @throws Error when the source is no data directory, is in use or damaged, or when the target holds something else
 */
export async function importDataDirectory(options: ImportOptions): Promise<ImportedState> {
  const source = dataDirectory(options.from, options.fromWal);
  const target = dataDirectory(options.to, options.toWal);
  const database = databaseOf(source);
  checkUnused(join(source.snap, 'db'));
  if (!hasLog(source.wal)) throw new Error(`there is no log in ${source.wal}`);
  const isInPlace = resolve(source.wal) === resolve(target.wal);
  if (isUnfinished(target)) await fs.rm(target.rocksdb, { recursive: true, force: true });
  if (storeExists(target.rocksdb)) throw new Error(`${target.rocksdb} is a store already`);
  if (!isInPlace && hasLog(target.wal)) throw new Error(`there is a log in ${target.wal} already`);

  prepareDataDirectory(target);
  beginMaking(target, 'import');
  const building = buildingDirectory(target.rocksdb);
  const copy = `${target.wal}.building`;
  try {
    const state = await importSnapshot({
      file: database,
      directory: building,
      ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
    });
    if (state.confState === undefined)
      throw new Error('the database is of etcd 3.4 or earlier: run it with etcd 3.5 or later once');
    if (!isInPlace) await copyLog(source.wal, copy);
    moveInPlace(building, target.rocksdb);
    if (!isInPlace) moveInPlace(copy, target.wal);
    finishMaking(target);
    return state;
  } catch (error) {
    for (const path of [building, copy]) await fs.rm(path, { recursive: true, force: true });
    if (!storeExists(target.rocksdb)) {
      await fs.rm(target.rocksdb, { recursive: true, force: true });
      finishMaking(target);
    }
    throw error;
  }
}

/** What is complete and on disk takes its name; an empty directory there gives way. */
function moveInPlace(from: string, to: string): void {
  renameSync(from, to);
  syncPath(dirname(to));
}

/** The database, or one that etcd had received from its leader but not yet put in its place. */
function databaseOf({ snap, root }: DataDirectory): string {
  const path = join(snap, 'db');
  if (!existsSync(path)) throw new Error(`${root} is not a data directory of etcd: ${path} does not exist`);
  const received = readdirSync(snap)
    .filter((name) => /^[0-9a-f]{16}\.snap\.db$/.test(name))
    .sort()
    .at(-1);
  if (received === undefined || Number(`0x${received.slice(0, 16)}`) <= appliedIndexOf(path)) return path;
  return join(snap, received);
}

function appliedIndexOf(path: string): number {
  const source = new FileSource(path);
  try {
    return readAppliedIndex(BoltReader.open(source));
  } finally {
    source.close();
  }
}

function hasLog(directory: string): boolean {
  return existsSync(directory) && readdirSync(directory).some((name) => name.endsWith('.wal'));
}

/** etcd holds a lock on its database while it runs; where the system tells of locks, it is looked for. */
function checkUnused(database: string): void {
  const locks = '/proc/locks';
  if (!existsSync(locks)) return;
  const suffix = `:${statSync(database).ino}`;
  const held = readFileSync(locks, 'utf8')
    .split('\n')
    .some((line) => line.includes('FLOCK') && line.split(/\s+/).some((field) => field.endsWith(suffix)));
  if (held) throw new Error(`${database} is in use: stop etcd first`);
}

async function copyLog(from: string, to: string): Promise<void> {
  await fs.rm(to, { recursive: true, force: true });
  await fs.mkdir(to, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(from).filter((entry) => entry.endsWith('.wal'))) {
    const copy = join(to, name);
    await fs.copyFile(join(from, name), copy, constants.COPYFILE_FICLONE);
    syncPath(copy);
  }
  syncPath(to);
}

const usage = `Usage: keystead import --from <etcd's data directory> --data-dir <directory>
                       [--from-wal-dir <directory>] [--wal-dir <directory>]

Takes over the data directory of a stopped etcd member, 3.5 or later. Its database is read into a new store and its
log is copied; nothing of etcd's is changed. With the same directory for both, the store is put beside etcd's files and
the log is gone on with in place. Exit code 0: done and verified; 1: it can't be imported; 2: used wrongly.
`;

interface Arguments {
  readonly from?: string;
  readonly 'from-wal-dir': string;
  readonly 'data-dir'?: string;
  readonly 'wal-dir': string;
  readonly help: boolean;
}

/** @returns a text where the arguments are not understood */
function parse(args: readonly string[]): Arguments | string {
  try {
    return parseArgs({
      args: [...args],
      options: {
        from: { type: 'string' },
        'from-wal-dir': { type: 'string', default: '' },
        'data-dir': { type: 'string' },
        'wal-dir': { type: 'string', default: '' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    return reasonOf(error);
  }
}

/** The `import` subcommand. Returns the exit code. */
export async function runImport(
  args: readonly string[],
  out: (text: string) => void,
  err: (text: string) => void,
): Promise<number> {
  const values = parse(args);
  if (typeof values === 'string') {
    err(`keystead import: ${values}\n${usage}`);
    return 2;
  }
  const { from, 'data-dir': to } = values;
  if (values.help || from === undefined || to === undefined) {
    (values.help ? out : err)(usage);
    return values.help ? 0 : 2;
  }
  try {
    const state = await importDataDirectory({
      ...{ from, to, fromWal: values['from-wal-dir'], toWal: values['wal-dir'] },
    });
    out(
      `imported ${state.keys} keys and ${state.events} changes up to revision ${state.revision}, applied index ${state.index} in term ${state.term}`,
    );
    const { ok, findings } = await verifyDataDirectory(to, values['wal-dir']);
    for (const { where, what } of findings) err(`WRONG  ${where}: ${what}`);
    return ok ? 0 : 1;
  } catch (error) {
    err(`keystead import: ${reasonOf(error)}`);
    return 1;
  }
}
