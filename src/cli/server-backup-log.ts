import { randomBytes } from 'node:crypto';
import type { BackupKey } from '../backup/encryption.ts';
import { LogWriter } from '../backup/log/writer.ts';
import type { BackupPlace } from '../backup/place.ts';
import type { BackupSchedule } from '../backup/schedule.ts';
import type { BackupLogSettings } from '../config/config.ts';
import { minimumLeaseTtl } from '../lease/lessor.ts';
import { defined } from '../lib/assert.ts';
import { hex } from '../lib/text.ts';
import type { ServerBackupsOptions } from './server-backups.ts';
import { KEYSTEAD_VERSION } from './version.ts';

/** Stores the log between the backups while this member leads. */
export function startServerBackupLog(
  { member, metrics, logger }: Pick<ServerBackupsOptions, 'member' | 'metrics' | 'logger'>,
  { intervalMs }: BackupLogSettings,
  {
    place,
    key,
    schedule,
  }: {
    readonly place: BackupPlace;
    readonly key: BackupKey | undefined;
    readonly schedule: Pick<BackupSchedule, 'request'>;
  },
): LogWriter {
  const { clock, scheduler, config, identity, lessor } = member;
  const counts = { lastSuccessSeconds: 0, bytes: 0, segments: 0, failures: 0, gaps: 0 };
  const writer = new LogWriter({
    intervalMs,
    place,
    key,
    tail: defined(member.appliedTail, 'a member that stores the log of its backups has a tail'),
    clusterId: hex(identity.clusterId),
    memberId: hex(identity.memberId),
    minLeaseTtl: minimumLeaseTtl({ electionTicks: config.electionTicks, tickMs: config.heartbeatIntervalMs }),
    keysteadVersion: KEYSTEAD_VERSION,
    isLeader: () => member.isLeader && lessor.isPrimary,
    term: () => member.term,
    requestBackup: (reason) => schedule.request(reason),
    random: () => randomBytes(4).toString('hex'),
    clock,
    scheduler,
    logger,
    counts,
  });
  metrics.backupLog = {
    intervalSeconds: intervalMs / 1000,
    counts,
    get pendingBytes() {
      return writer.pendingBytes;
    },
  };
  return writer;
}
