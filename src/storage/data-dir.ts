import { accessSync, closeSync, constants, fsyncSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { reasonOf } from '../lib/text.ts';

const PRIVATE_MODE = 0o700;

/** The paths in a data directory. `wal` and `snap` are as in etcd's. */
export interface DataDirectory {
  readonly root: string;
  readonly wal: string;
  readonly snap: string;
  readonly rocksdb: string;
}

/** The data directory can't be used. The message names it and says what to do. */
export class DataDirectoryError extends Error {
  override readonly name = 'DataDirectoryError';
}

/** @param walDirectory the log directory of `--wal-dir`; empty for the default */
export function dataDirectory(root: string, walDirectory = ''): DataDirectory {
  const member = join(root, 'member');
  return {
    root,
    wal: walDirectory === '' ? join(member, 'wal') : walDirectory,
    snap: join(member, 'snap'),
    rocksdb: join(member, 'rocksdb'),
  };
}

/** Makes a file, or the names in a directory, durable. */
export function syncPath(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function prepareDirectory(path: string): void {
  try {
    if (mkdirSync(path, { recursive: true, mode: PRIVATE_MODE }) !== undefined) syncPath(dirname(path));
    const stat = statSync(path);
    if (!stat.isDirectory()) throw new DataDirectoryError(`${path} is not a directory`);
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    if (error instanceof DataDirectoryError) throw error;
    const reason = reasonOf(error);
    throw new DataDirectoryError(`data directory ${path} cannot be used: ${reason}`, { cause: error });
  }
}

/**
 * Creates what is missing in a data directory, with access only for its owner.
 *
 * @throws DataDirectoryError when a directory can't be made, read or written
 */
export function prepareDataDirectory(directory: DataDirectory): void {
  prepareDirectory(directory.root);
  prepareDirectory(directory.snap);
  prepareDirectory(directory.rocksdb);
  prepareDirectory(dirname(directory.wal));
}
