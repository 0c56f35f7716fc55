import { promises as fs } from 'node:fs';
import { join } from 'node:path';
import { isOutOfSpace } from './out-of-space.ts';

/** What RocksDB writes to open a store is usually less. */
const PROBE_BYTES = 4 << 20;

/**
 * Whether a file in the directory can grow by some megabytes. A disk quota, or a file system that reserves blocks, can
 * refuse that while free space is reported. No file remains. Errors that are not about space are left to the next write.
 */
export async function canGrow(directory: string): Promise<boolean> {
  const path = join(directory, 'space-probe');
  let file;
  try {
    file = await fs.open(path, 'w', 0o600);
    await fs.unlink(path);
    await file.writeFile(Buffer.alloc(PROBE_BYTES));
    // Some file systems find their space only now.
    await file.datasync();
    return true;
  } catch (error) {
    return !isOutOfSpace(error);
  } finally {
    await file?.close();
  }
}
