import { statSync } from 'node:fs';
import type { Logger } from '../ports/logger.ts';

/** All permission bits of the group and of others. */
const NOT_THE_OWNER = 0o077;

/**
 * Makes all files and directories that this process creates from now on private to its user. This includes the files of
 * the storage engine, whose mode cannot be set.
 */
export function makeFilesPrivate(): void {
  process.umask(NOT_THE_OWNER);
}

/** As etcd, logs a warning if other users can access the data directory. Its mode is not changed. */
export function warnOfOpenDirectory(path: string, logger: Logger): void {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0;
  if ((mode & NOT_THE_OWNER) === 0) return;
  const given = (mode & 0o777).toString(8);
  logger.warn('check file permission', {
    error: `directory ${JSON.stringify(path)} has mode ${given}; use 700, so that other users cannot read the data`,
  });
}
