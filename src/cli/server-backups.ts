import { promises as fs } from 'node:fs';
import { dirname, join } from 'node:path';
import { BackupKey } from '../backup/encryption.ts';
import { openPlace } from '../backup/open-place.ts';
import { prunePlace } from '../backup/prune.ts';
import { BackupSchedule } from '../backup/schedule.ts';
import { type BackupSource, type SourceHash, takeBackup } from '../backup/take.ts';
import { removeLeftWork } from '../backup/work-folder.ts';
import type { BackupSettings } from '../config/config.ts';
import { defined } from '../lib/assert.ts';
import { reasonOf } from '../lib/text.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Logger } from '../ports/logger.ts';
import type { ExportSnapshot } from '../ports/snapshot.ts';
import { hashStore } from '../server/hash-store.ts';
import type { Member } from '../server/member.ts';
import type { DataDirectory } from '../storage/data-dir.ts';
import { errors } from '../wire/errors.ts';
import { startServerBackupLog } from './server-backup-log.ts';
import { StartError } from './start-error.ts';
import { KEYSTEAD_VERSION } from './version.ts';

export interface ServerBackupsOptions {
  readonly settings: BackupSettings;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly member: Member;
  readonly metrics: Metrics;
  readonly exportSnapshot: ExportSnapshot;
  readonly directory: DataDirectory;
  readonly logger: Logger;
}

/** The backups that run. */
export interface ServerBackups {
  /** Gives up what is under way. */
  stop(): Promise<void>;
}

/** Free space that a backup needs for its temporary files, as a multiple of the size of the store. */
const SPACE_FACTOR = 3;

/**
 * Takes backups of this member while it leads. Worker threads read the store and try the restore.
 *
 * @throws StartError if the URL or the key is invalid
 */
export async function startServerBackups(options: ServerBackupsOptions): Promise<ServerBackups> {
  const { settings, environment, member, metrics, directory, logger } = options;
  const { url, keyFile, intervalMs, keepLast, keepDays } = settings;
  const { clock, scheduler } = member;
  // On the disk of the store, which has the size for it. Other folders may be in memory.
  const temporary = join(dirname(directory.rocksdb), 'backup');
  try {
    const place = await openPlace(url, environment);
    const key = keyFile === '' ? undefined : BackupKey.read(keyFile);
    await removeLeftWork(temporary);
    const counts = {
      intervalSeconds: intervalMs / 1000,
      lastSuccessSeconds: 0,
      lastSizeBytes: 0,
      lastVerifiedSeconds: 0,
      lastDurationSeconds: 0,
      failures: 0,
      inProgress: 0,
    };
    metrics.backup = counts;
    const now = (): Date => new Date(clock.wall());
    const schedule = new BackupSchedule({
      intervalMs,
      place,
      isLeader: () => member.isLeader,
      term: () => member.term,
      confirmLeader: () =>
        new Promise((resolve, reject) => member.read({ readable: resolve, failed: reject })),
      take: async (mayContinue) => {
        await checkSpace(directory, member.store.sizeBytes);
        const source = sourceOf(options);
        return takeBackup({
          source,
          place,
          key,
          temporary,
          now,
          mayContinue,
          keysteadVersion: KEYSTEAD_VERSION,
        });
      },
      prune: () => prunePlace(place, { keepLast, keepDays }, clock.wall()),
      clock,
      scheduler,
      logger,
      counts,
    });
    const log =
      settings.log === undefined
        ? undefined
        : startServerBackupLog(options, settings.log, { place, key, schedule });
    return {
      stop: async () => {
        await Promise.all([log?.stop(), schedule.stop()]);
      },
    };
  } catch (error) {
    throw new StartError(`backups cannot be taken: ${reasonOf(error)}`, { cause: error });
  }
}

/** A backup must not fill the disk of the store. */
async function checkSpace({ rocksdb }: DataDirectory, storeBytes: number): Promise<void> {
  const { bavail, bsize } = await fs.statfs(rocksdb);
  const [free, needed] = [bavail * bsize, storeBytes * SPACE_FACTOR];
  if (free < needed)
    throw new Error(
      `the disk of the data directory has ${free} free bytes, but a backup needs up to ${needed}`,
    );
}

function sourceOf({ member, exportSnapshot }: ServerBackupsOptions): BackupSource {
  const { memberId, clusterId } = member.identity;
  return {
    save: async (path) => {
      const snapshot = await exportSnapshot();
      const file = await fs.open(path, 'w', 0o600);
      try {
        for await (const chunk of snapshot.chunks()) await file.writeFile(chunk);
        await file.writeFile(defined(snapshot.sha256, 'a snapshot that was read to its end has a hash'));
      } finally {
        await file.close();
        await snapshot.close();
      }
    },
    hashKv: async (revision): Promise<SourceHash | undefined> => {
      try {
        const { hash, compactRevision } = await hashStore(member, revision);
        return { hash, compactRevision, clusterId, memberId };
      } catch (error) {
        if (error === errors.Compacted) return undefined;
        throw error;
      }
    },
  };
}
