import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DataDirectoryError, syncPath, type DataDirectory } from './data-dir.ts';

/** Path of a file that exists while an import or a restore fills the data directory. */
function markerOf({ snap }: DataDirectory): string {
  return join(dirname(snap), 'unfinished');
}

/** Records on disk that `command` is filling the data directory. Until `finishMaking` no server starts on it. */
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

/** @throws DataDirectoryError if an import or a restore was interrupted */
export function checkFinished(directory: DataDirectory): void {
  if (isUnfinished(directory))
    throw new DataDirectoryError(
      `data directory ${directory.root} is incomplete: an import or a restore into it was interrupted, and has to be done again`,
    );
}
