import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { LogContents } from '../ports/log-store.ts';
import { EMPTY } from '../wire/reader.ts';
import { DataDirectoryError, dataDirectory, prepareDataDirectory, type DataDirectory } from './data-dir.ts';
import { DiskSpace } from './disk-space.ts';
import { defaultTuning, type RocksTuning } from './rocks-columns.ts';
import { RocksEngine } from './rocks-engine.ts';
import { removeLeftovers, settleReplacement, storeExists } from './replacement.ts';
import { checkFinished } from './unfinished.ts';
import type { FileLog, FileLogOptions } from './wal/file-log.ts';
import { segmentBytesFor } from './wal/segment-bytes.ts';
import { EarlyLog } from './wal/early-log.ts';
import { createLog, logExists, openLog } from './wal/open-log.ts';

export interface StorageOptions extends Pick<FileLogOptions, 'onFailure' | 'onSync'> {
  readonly dataDirectory: string;
  /** The log directory of `--wal-dir`; empty for the default. */
  readonly walDirectory?: string;
  readonly tuning?: RocksTuning;
  /** The disk of the store failed: the process must end. See `RocksOptions`. */
  readonly onStoreFailure?: (error: Error) => void;
  /** Called after each batch written to the store, for metrics. */
  readonly onStoreWrite?: (durationMs: number) => void;
  /** Returns the metadata record for a new log. */
  readonly newMetadata: () => Buffer;
}

export interface Storage {
  readonly directory: DataDirectory;
  readonly engine: RocksEngine;
  readonly log: FileLog;
  contents: LogContents;
  /** The log holds nothing yet: it was made just now, or the start that made it was killed before its first write. */
  readonly isNew: boolean;
  readonly space: DiskSpace;
  /** Drops the entries of `contents` when raft has them, so that their memory is free once raft drops them. */
  readonly forgetEntries: () => void;
  /** Closes the log, so that another thread can open it. From then on `close` calls `closeThere` in its place. */
  readonly handOverLog: (closeThere: () => Promise<void>) => Promise<LogPlace>;
  /** Closes the log, then the engine. */
  readonly close: () => Promise<void>;
}

/** Where a log is, and whom it reports to. */
export type LogPlace = Pick<FileLogOptions, 'directory' | 'segmentBytes' | 'onFailure'> &
  Required<Pick<FileLogOptions, 'onSync'>>;

/**
 * Opens a data directory, and creates it if it is missing. The log is opened after the engine, whose lock keeps a second
 * process away from the log. It is read meanwhile.
 *
 * @throws DataDirectoryError if it is in use, belongs to etcd, is incomplete or can't be used, CorruptLogError if the
 * log is damaged
 */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const directory = dataDirectory(options.dataDirectory, options.walDirectory);
  checkUsable(directory);
  prepareDataDirectory(directory);
  settleReplacement(directory.rocksdb);
  const space = await DiskSpace.watch(directory.root);
  const opening = openEngine(directory, options);
  // An error is thrown below, after the log was read.
  opening.catch(() => undefined);
  const early = EarlyLog.read(directory.wal);
  const engine = await opening;
  space.expectFlushes(() => engine.unflushedBytes);
  try {
    removeLeftovers(directory.rocksdb);
    const hasLog = logExists(directory.wal);
    const isEngineEmpty = isEmpty(engine);
    if (!hasLog && !isEngineEmpty) throw new DataDirectoryError(withoutLog(directory));
    const logOptions: LogPlace = {
      directory: directory.wal,
      segmentBytes: segmentBytesFor(space.capacity),
      onFailure: options.onFailure,
      onSync: (durationMs, bytes, bufferMs) => {
        space.logged(bytes);
        options.onSync?.(durationMs, bytes, bufferMs);
      },
    };
    const { log, contents } = hasLog
      ? openLog(logOptions, early?.unchanged())
      : createLog(logOptions, options.newMetadata());
    const isNew = isBlank(contents) && isEngineEmpty;
    let closeLog = (): Promise<void> => log.close();
    const handOverLog: Storage['handOverLog'] = async (closeThere) => {
      await log.close();
      closeLog = closeThere;
      return logOptions;
    };
    const close = async (): Promise<void> => {
      space.stop();
      await closeLog();
      await engine.close();
    };
    const forgetEntries = (): void => {
      storage.contents = { ...storage.contents, earlier: [], entries: [] };
    };
    const opened = { directory, engine, log, contents, isNew, space };
    const storage: Storage = { ...opened, forgetEntries, handOverLog, close };
    return storage;
  } catch (error) {
    space.stop();
    await engine.close();
    throw error;
  }
}

/**
 * Checks a data directory before anything is changed.
 *
 * @throws DataDirectoryError for a directory of etcd, and for one left incomplete by an import or a restore
 */
export function checkUsable(directory: DataDirectory): void {
  checkFinished(directory);
  const database = join(directory.snap, 'db');
  if (existsSync(database) && !storeExists(directory.rocksdb))
    throw new DataDirectoryError(
      `data directory ${directory.root} is one of etcd (${database}): run "keystead import --from ${directory.root} --data-dir <directory>" first; nothing has been changed`,
    );
}

function withoutLog({ wal, rocksdb }: DataDirectory): string {
  return `there is no log in ${wal}, but a store with data in ${rocksdb}: look for the log (--wal-dir), or remove the store to start again`;
}

/** A member with such a log has neither voted nor acknowledged anything. */
function isBlank({ entries, snapshot, hardState }: LogContents): boolean {
  return entries.length === 0 && snapshot.index === 0 && hardState.term === 0;
}

function isEmpty(engine: RocksEngine): boolean {
  return (['meta', 'event'] as const).every((column) => {
    const rows = engine.iterate(column, { gte: EMPTY, keysOnly: true });
    const hasNone = rows.next(1).length === 0;
    rows.close();
    return hasNone;
  });
}

async function openEngine(
  directory: DataDirectory,
  { tuning = defaultTuning, onStoreFailure, onStoreWrite }: StorageOptions,
): Promise<RocksEngine> {
  try {
    return await RocksEngine.open(directory.rocksdb, {
      tuning,
      ...(onStoreFailure === undefined ? {} : { onFailure: onStoreFailure }),
      ...(onStoreWrite === undefined ? {} : { onWrite: onStoreWrite }),
    });
  } catch (error) {
    if ((error as { code?: string }).code !== 'LEVEL_LOCKED') throw error;
    throw new DataDirectoryError(`data directory ${directory.root} is in use by another process`, {
      cause: error,
    });
  }
}
