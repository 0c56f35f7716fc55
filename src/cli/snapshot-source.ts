import { createWriteStream, promises as fs } from 'node:fs';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/**
 * Runs work with a snapshot file. A snapshot at an http or https URL is downloaded into a file next to `nearby` first,
 * which is removed afterwards.
 *
 * @throws Error if the download fails
 */
export async function withSnapshotFile<T>(
  source: string,
  nearby: string,
  work: (path: string) => Promise<T>,
): Promise<T> {
  if (!/^https?:\/\//.test(source)) return work(source);
  const path = `${nearby}.download`;
  await fs.mkdir(dirname(path), { recursive: true });
  try {
    const response = await fetch(source);
    if (!response.ok || response.body === null)
      throw new Error(`the snapshot cannot be downloaded: status ${response.status}`);
    await pipeline(Readable.fromWeb(response.body), createWriteStream(path, { mode: 0o600 }));
    return await work(path);
  } finally {
    await fs.rm(path, { force: true });
  }
}
