import { readFileSync, statSync } from 'node:fs';
import { reasonOf, TlsFileError } from './tls-file-error.ts';

/**
 * A file written again this soon after it was read could keep its size and its time of change: file systems keep
 * time in ticks of some milliseconds.
 */
const SETTLED_MS = 100;

interface Read {
  readonly stamp: string;
  readonly isSettled: boolean;
}

/**
 * Files that are looked at before each use, for the price of a stat, and read again when they have changed: renamed
 * over, written to, or replaced behind a symbolic link, as Kubernetes does.
 */
export class WatchedFiles {
  readonly #paths: readonly string[];
  #reads: readonly Read[] = [];

  constructor(paths: readonly string[]) {
    this.#paths = paths;
  }

  /** Whether what `read` gave last may not be what is on disk now. Files that are gone have changed. */
  get haveChanged(): boolean {
    if (this.#reads.length === 0) return true;
    return this.#paths.some((path, at) => {
      const read = this.#reads[at];
      return read?.isSettled !== true || stampOf(path) !== read.stamp;
    });
  }

  /** Has them read again at the next use: what they held was of no use. */
  forget(): void {
    this.#reads = [];
  }

  /**
   * @returns the files' bytes, in the order of their paths
   * @throws TlsFileError
   */
  read(): Buffer[] {
    // Stamps are taken before the bytes: a write between the two is seen the next time.
    const reads = this.#paths.map((path) => ({ stamp: stampOf(path), isSettled: isSettled(path) }));
    const contents = this.#paths.map((path) => {
      try {
        return readFileSync(path);
      } catch (error) {
        throw new TlsFileError(path, reasonOf(error));
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
