import { existsSync, promises as fs, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncPath } from './data-dir.ts';

/**
 * A store that takes another one's place, as when a member that lags behind receives a snapshot. It is made in
 * `buildingDirectory`, which counts for nothing; renamed to a second name once it is complete and on disk; and
 * put in place of the old one by two renames. At no moment is there neither the old nor the new one.
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

/** Declares the store in `buildingDirectory` complete. */
export async function finishBuilding(store: string): Promise<void> {
  await fs.rm(receivedDirectory(store), { recursive: true, force: true });
  await fs.rename(buildingDirectory(store), receivedDirectory(store));
  syncParent(store);
}

/** Puts the complete store in place of the old one, which is closed. */
export async function exchangeDirectories(store: string): Promise<void> {
  await removeReplaced(store);
  await fs.rename(store, replacedDirectory(store));
  await fs.rename(receivedDirectory(store), store);
  syncParent(store);
}

export async function removeReplaced(store: string): Promise<void> {
  await fs.rm(replacedDirectory(store), { recursive: true, force: true });
}

/** Before a store is opened: completes a replacement that a crash cut short between its two renames. */
export function settleReplacement(store: string): void {
  const received = receivedDirectory(store);
  if (existsSync(store) || !existsSync(received)) return;
  renameSync(received, store);
  syncParent(store);
}

/**
 * Once the store is open, and so locked: removes what was on its way. Before, it may be another process's. A received
 * store that was not yet put in place is dropped; the leader sends it again.
 */
export function removeLeftovers(store: string): void {
  for (const path of [buildingDirectory(store), receivedDirectory(store), replacedDirectory(store)])
    rmSync(path, { recursive: true, force: true });
}

/** Whether a store lies there, or one that `settleReplacement` will put there. */
export function storeExists(store: string): boolean {
  const isFilled = (path: string): boolean => existsSync(path) && readdirSync(path).length > 0;
  return isFilled(store) || isFilled(receivedDirectory(store));
}

function syncParent(path: string): void {
  syncPath(dirname(path));
}
