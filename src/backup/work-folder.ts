import { promises as fs } from 'node:fs';
import { join } from 'node:path';

const PREFIX = 'keystead-backup-';

/**
 * Runs work with a private folder for temporary files, inside `parent`, and removes it afterwards. The files hold the
 * data of the cluster, so only the owner can read them.
 */
export async function withWorkFolder<T>(parent: string, work: (folder: string) => Promise<T>): Promise<T> {
  await fs.mkdir(parent, { recursive: true, mode: 0o700 });
  const folder = await fs.mkdtemp(join(parent, PREFIX));
  try {
    return await work(folder);
  } finally {
    await fs.rm(folder, { recursive: true, force: true });
  }
}

/** Removes what a killed process has left in `parent`, which only one process uses. */
export async function removeLeftWork(parent: string): Promise<void> {
  await fs.rm(parent, { recursive: true, force: true });
}
