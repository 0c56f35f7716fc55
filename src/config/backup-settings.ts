import type { BackupSettings } from './config.ts';
import type { FlagValues } from './value-kinds.ts';

/** A shorter interval would only be full backups all the time. */
const MIN_INTERVAL_MS = 1_000;

/** A shorter one would only be many small objects. */
const MIN_LOG_INTERVAL_MS = 100;

/** Checks the flags of backups. @returns the error text, or undefined when the flags are valid */
export function backupFault(values: FlagValues): string | undefined {
  const intervalMs = values['keystead-backup-interval'];
  const isPlaced = values['keystead-backup-url'] !== '';
  if (intervalMs !== 0 && intervalMs < MIN_INTERVAL_MS)
    return '--keystead-backup-interval must be 0 or at least one second';
  const logMs = values['keystead-backup-log-interval'];
  if (logMs !== 0 && logMs < MIN_LOG_INTERVAL_MS)
    return '--keystead-backup-log-interval must be 0 or at least 100 milliseconds';
  if (isPlaced !== intervalMs > 0)
    return '--keystead-backup-url and --keystead-backup-interval must be given together';
  return undefined;
}

/** @returns undefined when the server takes no backups */
export function backupSettings(values: FlagValues): BackupSettings | undefined {
  const url = values['keystead-backup-url'];
  if (url === '') return undefined;
  const logMs = values['keystead-backup-log-interval'];
  const number = (count: number): number | undefined => (count === 0 ? undefined : count);
  return {
    url,
    intervalMs: values['keystead-backup-interval'],
    keyFile: values['keystead-backup-key-file'],
    keepLast: number(values['keystead-backup-keep-last']),
    keepDays: number(values['keystead-backup-keep-days']),
    log: logMs === 0 ? undefined : { intervalMs: logMs, maxBytes: values['keystead-backup-log-max-bytes'] },
  };
}
