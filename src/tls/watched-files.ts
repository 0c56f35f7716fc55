import { readFileSync, statSync } from 'node:fs';
import { fileReason, TlsFileError } from './tls-file-error.ts';

/**
 * A file that is written again this soon after it was read may keep its size and its modification time: file systems
 * store times in steps of some milliseconds.
 */
const SETTLED_MS = 100;

interface Read {
  readonly stamp: string;
  readonly isSettled: boolean;
}

/**
 * Checks files before each use, at the cost of a stat, and reads them again if they have changed. A change is a
 * rename, a write, or a new target of a symbolic link, as Kubernetes does it.
 */
export class WatchedFiles {
  readonly #paths: readonly string[];
  #reads: readonly Read[] = [];

  constructor(paths: readonly string[]) {
    this.#paths = paths;
  }

  /** Whether the result of the last `read` may be out of date. Missing files count as changed. */
  get haveChanged(): boolean {
    if (this.#reads.length === 0) return true;
    return this.#paths.some((path, at) => {
      const read = this.#reads[at];
      return read?.isSettled !== true || stampOf(path) !== read.stamp;
    });
  }

  /** Reads the files again at the next use, because their content was not valid. */
  forget(): void {
    this.#reads = [];
  }

  /**
   * @returns the contents of the files, in the order of their paths
   * @throws TlsFileError
   */
  read(): Buffer[] {
    // Stamps are taken before the bytes: a write between the two is seen the next time.
    const reads = this.#paths.map((path) => ({ stamp: stampOf(path), isSettled: isSettled(path) }));
    const contents = this.#paths.map((path) => {
      try {
        return readFileSync(path);
      } catch (error) {
        throw new TlsFileError(path, fileReason(error));
      }
    });
    this.#reads = reads;
    return contents;
  }
}

function stampOf(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? '' : `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
}

function isSettled(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat !== undefined && Math.abs(Date.now() - stat.ctimeMs) > SETTLED_MS;
}
