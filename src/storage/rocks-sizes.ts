import { readdir as readdirOf, stat as statOf } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

// The promises of `node:fs` take three milliseconds to load at a start.
const [readdir, stat] = [promisify(readdirOf), promisify(statOf)];

const REFRESH_AFTER_MS = 2000;
const LOG_ENDING = '.log';

/** Sizes of the regular files in `directory` whose names end so. Files that are removed meanwhile are omitted. */
async function fileSizes(directory: string, ending = ''): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const name of await readdir(directory)) {
    if (!name.endsWith(ending)) continue;
    try {
      const found = await stat(join(directory, name));
      if (found.isFile()) sizes.set(name, found.size);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return sizes;
}

/** Caches the size of the store for synchronous readers. It is refreshed in the background when it is read. */
export class RocksSizes {
  readonly #directory: string;
  /** Bytes of each RocksDB log whose rows are all in tables. */
  #flushed = new Map<string, number>();
  #bytes = 0;
  #refreshedAt = 0;
  #refreshing = false;
  /** The share of the bytes that holds live data, as RocksDB last reported. */
  #share = 1;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async refresh(): Promise<void> {
    this.#refreshing = true;
    try {
      let bytes = 0;
      for (const [name, size] of await fileSizes(this.#directory))
        bytes += size - (this.#flushed.get(name) ?? 0);
      this.#bytes = bytes;
    } finally {
      this.#refreshing = false;
      this.#refreshedAt = performance.now();
    }
  }

  /** Bytes of RocksDB's log. */
  async logBytes(): Promise<number> {
    let bytes = 0;
    for (const size of (await fileSizes(this.#directory, LOG_ENDING)).values()) bytes += size;
    return bytes;
  }

  /** All memory was flushed: the current logs hold no needed data, and will be removed. */
  async logsWereFlushed(): Promise<void> {
    this.#flushed = await fileSizes(this.#directory, LOG_ENDING);
  }

  /** @param liveBytes live part of `tableBytes`, both of the largest column family, which determines the ratio */
  noteLive(liveBytes: number, tableBytes: number): void {
    this.#share = tableBytes > 0 ? Math.min(1, liveBytes / tableBytes) : 1;
  }

  current(): { total: number; inUse: number } {
    if (!this.#refreshing && performance.now() - this.#refreshedAt > REFRESH_AFTER_MS) {
      this.refresh().catch(() => undefined);
    }
    return { total: this.#bytes, inUse: Math.round(this.#bytes * this.#share) };
  }
}
