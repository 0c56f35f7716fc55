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
import { isJsonWanted } from './client/client-flags.ts';
import { Progress } from './progress.ts';
import { verifyDataDirectory } from './verify.ts';

export interface ImportOptions {
  /** Data directory of a stopped etcd member. */
  readonly from: string;
  /** Directory of its log, if it is outside the data directory. */
  readonly fromWal?: string;
  /** Data directory for Keystead: a new one, or the same as etcd's. */
  readonly to: string;
  readonly toWal?: string;
  readonly onProgress?: (events: number) => void;
}

/**
 * Imports the data directory of a stopped etcd member. Its database is converted to Keystead's store, and its log is
 * used unchanged. The member keeps its identity, so Keystead replaces etcd in the cluster.
 *
 * @throws Error if the source is not a data directory, is in use or damaged, or if the target has other data
 */
export async function importDataDirectory(options: ImportOptions): Promise<ImportedState> {
  const source = dataDirectory(options.from, options.fromWal);
  const target = dataDirectory(options.to, options.toWal);
  const database = databaseOf(source);
  checkUnused(join(source.snap, 'db'));
  if (!hasLog(source.wal)) throw new Error(`no log found in ${source.wal}`);
  const isInPlace = resolve(source.wal) === resolve(target.wal);
  if (isUnfinished(target)) await fs.rm(target.rocksdb, { recursive: true, force: true });
  if (storeExists(target.rocksdb)) throw new Error(`the store ${target.rocksdb} already exists`);
  if (!isInPlace && hasLog(target.wal)) throw new Error(`a log already exists in ${target.wal}`);

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
      throw new Error(
        'the database was written by etcd 3.4 or earlier: start it once with etcd 3.5 or later',
      );
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

/** Renames a complete directory to its final name. An empty directory with that name is replaced. */
function moveInPlace(from: string, to: string): void {
  renameSync(from, to);
  syncPath(dirname(to));
}

/** Returns the path of the database, or of a newer one that etcd had received from its leader but not installed. */
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

/** etcd locks its database while it runs. The check works on systems with /proc/locks. */
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

const USAGE = `Usage: keystead import --from <etcd's data directory> --data-dir <directory>
                       [--from-wal-dir <directory>] [--wal-dir <directory>] [--output text|json]

Imports the data directory of a stopped member of etcd 3.5 or later. The database is converted to a new store and the
log is copied. The files of etcd are not changed. If both directories are the same, the store is created next to the
files of etcd, and the log is used in place. Exit code 0: imported and verified; 1: failed; 2: usage error.
`;

/** The flags of the command, for `parseArgs`. */
export const importFlags = {
  from: { type: 'string' },
  'from-wal-dir': { type: 'string', default: '' },
  'data-dir': { type: 'string' },
  'wal-dir': { type: 'string', default: '' },
  output: { type: 'string', short: 'o', default: 'text' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

type Arguments = ReturnType<typeof parseArgs<{ options: typeof importFlags }>>['values'] & {
  readonly isJson: boolean;
};

/** @returns the error text if the arguments are invalid */
function parse(args: readonly string[]): Arguments | string {
  try {
    const { values } = parseArgs({ args: [...args], options: importFlags });
    return { ...values, isJson: isJsonWanted(values.output) };
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
    err(`keystead import: ${values}\n${USAGE}`);
    return 2;
  }
  const { from, 'data-dir': to, isJson } = values;
  if (values.help || from === undefined || to === undefined) {
    (values.help ? out : err)(USAGE);
    return values.help ? 0 : 2;
  }
  const progress = new Progress();
  try {
    const state = await importDataDirectory({
      from,
      to,
      fromWal: values['from-wal-dir'],
      toWal: values['wal-dir'],
      onProgress: (changes) => progress.show('importing', 'changes', changes),
    });
    progress.end();
    const { keys, events, revision, index, term } = state;
    if (!isJson)
      out(
        `imported ${keys} keys and ${events} changes up to revision ${revision}, applied index ${index} in term ${term}`,
      );
    const { ok, findings } = await verifyDataDirectory(to, values['wal-dir'], progress);
    if (isJson)
      out(JSON.stringify({ ok, keys, events, revision, appliedIndex: index, appliedTerm: term, findings }));
    for (const { where, what } of findings) err(`WRONG  ${where}: ${what}`);
    return ok ? 0 : 1;
  } catch (error) {
    progress.end();
    err(`keystead import: ${reasonOf(error)}`);
    return 1;
  }
}
