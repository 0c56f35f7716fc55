import { existsSync, promises as fs, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncPath } from './data-dir.ts';

/**
 * Replaces a store by a new one, for example when a member that is behind receives a snapshot. The new store is created
 * in `buildingDirectory`, which is ignored by a start. When it is complete and on disk, it gets a second name. Then two
 * renames replace the old store. At every moment either the old or the new store exists.
 */
export function buildingDirectory(store: string): string {
  return `${store}.building`;
}

function receivedDirectory(store: string): string {
  return `${store}.received`;
}

function replacedDirectory(store: string): string {
  return `${store}.replaced`;
}

/** Marks the store in `buildingDirectory` as complete. */
export async function finishBuilding(store: string): Promise<void> {
  await fs.rm(receivedDirectory(store), { recursive: true, force: true });
  await fs.rename(buildingDirectory(store), receivedDirectory(store));
  syncParent(store);
}

/** Replaces the old store, which is closed, by the complete new one. */
export async function exchangeDirectories(store: string): Promise<void> {
  await removeReplaced(store);
  await fs.rename(store, replacedDirectory(store));
  await fs.rename(receivedDirectory(store), store);
  syncParent(store);
}

export async function removeReplaced(store: string): Promise<void> {
  await fs.rm(replacedDirectory(store), { recursive: true, force: true });
}

/** Called before a store is opened: completes a replacement that a crash interrupted between its two renames. */
export function settleReplacement(store: string): void {
  const received = receivedDirectory(store);
  if (existsSync(store) || !existsSync(received)) return;
  renameSync(received, store);
  syncParent(store);
}

/**
 * Called when the store is open, and so locked: removes incomplete replacements. Before that they may belong to another
 * process. A complete store that was not put in place is dropped too; the leader sends it again.
 */
export function removeLeftovers(store: string): void {
  for (const path of [buildingDirectory(store), receivedDirectory(store), replacedDirectory(store)])
    rmSync(path, { recursive: true, force: true });
}

/** Whether the store exists, or `settleReplacement` will put one there. */
export function storeExists(store: string): boolean {
  const isFilled = (path: string): boolean => existsSync(path) && readdirSync(path).length > 0;
  return isFilled(store) || isFilled(receivedDirectory(store));
}

function syncParent(path: string): void {
  syncPath(dirname(path));
}
