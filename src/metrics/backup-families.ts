import { labelled, type Family, type Sample } from './family.ts';
import type { Metrics } from './metrics.ts';

/** What this member knows of the backups. Only the leader takes them and reads which there are. */
export interface BackupCounts {
  /** Configured time between two backups. */
  readonly intervalSeconds: number;
  /** When the newest backup without a fault was taken, in seconds since the epoch; 0 if there is none. */
  lastSuccessSeconds: number;
  /** Its size as stored. */
  lastSizeBytes: number;
  /** When a backup was last proven by a trial restore, in seconds since the epoch; 0 if none was. */
  lastVerifiedSeconds: number;
  lastDurationSeconds: number;
  failures: number;
  /** 1 while a backup is taken. */
  inProgress: number;
}

/** The log between the backups. Only the leader stores it. */
export interface BackupLogStatus {
  readonly intervalSeconds: number;
  /** Bytes that wait to be stored. */
  readonly pendingBytes: number;
  readonly counts: {
    /** Everything that was applied up to this time is stored, in seconds since the epoch. */
    readonly lastSuccessSeconds: number;
    readonly bytes: number;
    readonly segments: number;
    readonly failures: number;
    readonly gaps: number;
  };
}

/** The metrics of backups. All are left out when the server takes none. */
export function backupFamilies(metrics: Metrics): Family[] {
  const sample = (read: (counts: BackupCounts) => number) => (): Sample[] =>
    metrics.backup === undefined ? [] : [[[], read(metrics.backup)]];
  const log = (read: (log: BackupLogStatus) => number) => (): Sample[] =>
    metrics.backupLog === undefined ? [] : [[[], read(metrics.backupLog)]];
  return [
    labelled(
      'gauge',
      'keystead_backup_interval_seconds',
      'Configured time between two backups.',
      sample(({ intervalSeconds }) => intervalSeconds),
    ),
    labelled(
      'gauge',
      'keystead_backup_last_success_timestamp_seconds',
      'When the newest good backup was taken, in seconds since the epoch; 0 on members that have not led.',
      sample(({ lastSuccessSeconds }) => lastSuccessSeconds),
    ),
    labelled(
      'gauge',
      'keystead_backup_last_size_bytes',
      'Stored size of the newest good backup.',
      sample(({ lastSizeBytes }) => lastSizeBytes),
    ),
    labelled(
      'gauge',
      'keystead_backup_last_verified_timestamp_seconds',
      'When a trial restore of a backup last succeeded, in seconds since the epoch.',
      sample(({ lastVerifiedSeconds }) => lastVerifiedSeconds),
    ),
    labelled(
      'gauge',
      'keystead_backup_last_duration_seconds',
      'Duration of the last backup that this member took, with its verification.',
      sample(({ lastDurationSeconds }) => lastDurationSeconds),
    ),
    labelled(
      'counter',
      'keystead_backup_failures_total',
      'Backups of this member that failed.',
      sample(({ failures }) => failures),
    ),
    labelled(
      'gauge',
      'keystead_backup_in_progress',
      'Whether this member takes a backup.',
      sample(({ inProgress }) => inProgress),
    ),
    labelled(
      'gauge',
      'keystead_backup_log_interval_seconds',
      'Configured time between two writes of the log between the backups.',
      log(({ intervalSeconds }) => intervalSeconds),
    ),
    labelled(
      'gauge',
      'keystead_backup_log_last_success_timestamp_seconds',
      'Everything up to this time is in the log of the backups, in seconds since the epoch; 0 on members that have not led.',
      log(({ counts }) => counts.lastSuccessSeconds),
    ),
    labelled(
      'counter',
      'keystead_backup_log_written_bytes_total',
      'Bytes of the log of the backups that this member wrote.',
      log(({ counts }) => counts.bytes),
    ),
    labelled(
      'counter',
      'keystead_backup_log_written_segments_total',
      'Objects of the log of the backups that this member wrote.',
      log(({ counts }) => counts.segments),
    ),
    labelled(
      'counter',
      'keystead_backup_log_failures_total',
      'Writes of the log of the backups that failed.',
      log(({ counts }) => counts.failures),
    ),
    labelled(
      'counter',
      'keystead_backup_log_gaps_total',
      'How often this member could not continue the log of the backups and began it anew.',
      log(({ counts }) => counts.gaps),
    ),
    labelled(
      'gauge',
      'keystead_backup_log_pending_bytes',
      'Bytes of changes in memory that wait to be stored, roughly; 0 on members that do not lead.',
      log(({ pendingBytes }) => pendingBytes),
    ),
  ];
}
