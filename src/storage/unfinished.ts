import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DataDirectoryError, syncPath, type DataDirectory } from './data-dir.ts';

/** Lies in a data directory while an import or a restore fills it. */
function markerOf({ snap }: DataDirectory): string {
  return join(dirname(snap), 'unfinished');
}

/** Notes on disk that the data directory is being filled by `command`: until `finishMaking`, no server starts on it. */
export function beginMaking(directory: DataDirectory, command: string): void {
  const marker = markerOf(directory);
  writeFileSync(marker, `${command}\n`, { mode: 0o600 });
  syncPath(marker);
  syncPath(dirname(marker));
}

/** The data directory is complete and on disk. */
export function finishMaking(directory: DataDirectory): void {
  const marker = markerOf(directory);
  rmSync(marker);
  syncPath(dirname(marker));
}

export function isUnfinished(directory: DataDirectory): boolean {
  return existsSync(markerOf(directory));
}

/** @throws DataDirectoryError where an import or a restore did not get to its end */
export function checkFinished(directory: DataDirectory): void {
  if (isUnfinished(directory))
    throw new DataDirectoryError(
      `data directory ${directory.root} is incomplete: an import or a restore into it was interrupted, and has to be done again`,
    );
}
