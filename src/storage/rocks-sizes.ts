import { promises as fs } from 'node:fs';
import { join } from 'node:path';

const refreshAfterMs = 2000;

/** Bytes of the regular files in `directory`. Files that go away meanwhile count as nothing. */
export async function directoryBytes(directory: string): Promise<number> {
  let total = 0;
  for (const name of await fs.readdir(directory)) {
    try {
      const stat = await fs.stat(join(directory, name));
      if (stat.isFile()) total += stat.size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return total;
}

/** Keeps the store's size at hand for synchronous readers, refreshed in the background when asked for. */
export class RocksSizes {
  readonly #directory: string;
  #bytes = 0;
  #refreshedAt = 0;
  #refreshing = false;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async refresh(): Promise<void> {
    this.#refreshing = true;
    try {
      this.#bytes = await directoryBytes(this.#directory);
    } finally {
      this.#refreshing = false;
      this.#refreshedAt = performance.now();
    }
  }

  /** @param liveBytes live part of `tableBytes`, both of the largest column family, which sets the ratio */
  current(liveBytes: number, tableBytes: number): { total: number; inUse: number } {
    if (!this.#refreshing && performance.now() - this.#refreshedAt > refreshAfterMs) {
      this.refresh().catch(() => undefined);
    }
    const share = tableBytes > 0 ? Math.min(1, liveBytes / tableBytes) : 1;
    return { total: this.#bytes, inUse: Math.round(this.#bytes * share) };
  }
}
