import { statSync } from 'node:fs';
import type { Logger } from '../ports/logger.ts';

/** All bits of the group and of others. */
const NOT_THE_OWNER = 0o077;

/**
 * From here on every file and directory that this process makes is for its owner's eyes only, whatever makes it: the
 * storage engine's own files among them, to which no mode can be given.
 */
export function makeFilesPrivate(): void {
  process.umask(NOT_THE_OWNER);
}

/** A data directory that was there before is left as it is, but the log says when others can look into it, as etcd's. */
export function warnOfOpenDirectory(path: string, logger: Logger): void {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0;
  if ((mode & NOT_THE_OWNER) === 0) return;
  const given = (mode & 0o777).toString(8);
  logger.warn('check file permission', {
    error: `directory ${JSON.stringify(path)} has mode ${given}; 700 keeps others from the data`,
  });
}
