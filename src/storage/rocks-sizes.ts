import { promises as fs } from 'node:fs';
import { join } from 'node:path';

const refreshAfterMs = 2000;

/** Sizes of the regular files in `directory`. Files that go away meanwhile are left out. */
async function fileSizes(directory: string): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const name of await fs.readdir(directory)) {
    try {
      const stat = await fs.stat(join(directory, name));
      if (stat.isFile()) sizes.set(name, stat.size);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return sizes;
}

/** Keeps the store's size at hand for synchronous readers, refreshed in the background when asked for. */
export class RocksSizes {
  readonly #directory: string;
  /** Bytes of RocksDB's logs whose rows are all in tables, by file. */
  #flushed = new Map<string, number>();
  #bytes = 0;
  #refreshedAt = 0;
  #refreshing = false;
  /** The part of the bytes that holds live data, as RocksDB last told. */
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

  /** All memory was flushed: the logs as they are now hold nothing that counts, and will be removed. */
  async logsWereFlushed(): Promise<void> {
    const sizes = await fileSizes(this.#directory);
    this.#flushed = new Map([...sizes].filter(([name]) => name.endsWith('.log')));
  }

  /** @param liveBytes live part of `tableBytes`, both of the largest column family, which sets the ratio */
  noteLive(liveBytes: number, tableBytes: number): void {
    this.#share = tableBytes > 0 ? Math.min(1, liveBytes / tableBytes) : 1;
  }

  current(): { total: number; inUse: number } {
    if (!this.#refreshing && performance.now() - this.#refreshedAt > refreshAfterMs) {
      this.refresh().catch(() => undefined);
    }
    return { total: this.#bytes, inUse: Math.round(this.#bytes * this.#share) };
  }
}
