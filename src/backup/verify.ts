import { createHash } from 'node:crypto';
import { promises as fs } from 'node:fs';
import { join } from 'node:path';
import { reasonOf } from '../lib/text.ts';
import type { RocksEngine } from '../storage/rocks-engine.ts';
import type { CatalogEntry } from './catalog.ts';
import { type BackupKey, decrypted } from './encryption.ts';
import { encodeManifest, type Manifest, manifestName } from './manifest.ts';
import { type BackupPlace, MissingObjectError, onePart } from './place.ts';
import { type BackupProgress, type TrialResult, tryRestore } from './trial-restore.ts';
import { withWorkFolder } from './work-folder.ts';

/** The backup cannot be read with this key. It says nothing about the backup itself. */
export class KeyError extends Error {}

/** @throws KeyError if the backup needs another key, or one at all */
export function checkKey({ encryption }: Manifest, key: BackupKey | undefined): void {
  if (encryption === undefined) return;
  const { keyId } = encryption;
  if (key === undefined)
    throw new KeyError(`it is encrypted with the key ${keyId}; give its file with --key-file`);
  if (key.id !== keyId)
    throw new KeyError(`it is encrypted with the key ${keyId}, but the key file has the key ${key.id}`);
}

/**
 * Reads the object of a backup into a file: the snapshot, decrypted.
 *
 * @throws KeyError for a wrong key, or Error if the object is missing, or its bytes are not those of the manifest
 */
export async function download(
  place: BackupPlace,
  manifest: Manifest,
  key: BackupKey | undefined,
  path: string,
  onProgress?: BackupProgress,
): Promise<void> {
  checkKey(manifest, key);
  const { object, bytes, sha256, encryption, id } = manifest;
  const hash = createHash('sha256');
  let size = 0;
  async function* stored(): AsyncGenerator<Buffer, void> {
    for await (const part of place.get(object)) {
      hash.update(part);
      size += part.length;
      onProgress?.('reading the backup', 'bytes', size, bytes);
      yield part;
    }
  }
  const file = await fs.open(path, 'w', 0o600);
  try {
    const plain = encryption === undefined || key === undefined ? stored() : decrypted(stored(), key, id);
    for await (const part of plain) await file.writeFile(part);
  } catch (error) {
    if (error instanceof MissingObjectError)
      throw new Error(`its object ${object} is missing`, { cause: error });
    throw new Error(`its object ${object} cannot be read: ${reasonOf(error)}`, { cause: error });
  } finally {
    await file.close();
  }
  if (size !== bytes) throw new Error(`its object ${object} has ${size} bytes instead of ${bytes}`);
  const found = hash.digest('hex');
  if (found !== sha256) throw new Error(`its object ${object} has the SHA-256 ${found} instead of ${sha256}`);
}

export interface VerifyOptions {
  readonly place: BackupPlace;
  readonly key: BackupKey | undefined;
  /** Where the temporary files are: about twice the size of the snapshot. */
  readonly temporary: string;
  readonly now: () => Date;
  readonly onProgress?: BackupProgress;
  /** Called with the restored store when it is equal. What it throws counts as damage of the backup. */
  readonly then?: (engine: RocksEngine) => Promise<void>;
}

/**
 * Verifies a backup: reads its object, checks its bytes, restores it into a temporary store, and compares HashKV. The
 * result is recorded in the manifest, except if only the key is wrong.
 *
 * @throws Error that says what is wrong
 */
export async function verifyBackup(
  manifest: Manifest,
  { place, key, temporary, now, onProgress, then }: VerifyOptions,
): Promise<TrialResult> {
  checkKey(manifest, key);
  let result: TrialResult;
  try {
    result = await withWorkFolder(temporary, async (folder) => {
      const file = join(folder, 'snapshot.db');
      await download(place, manifest, key, file, onProgress);
      return tryRestore(file, manifest, folder, onProgress, then);
    });
  } catch (error) {
    await writeManifest(place, { ...manifest, damage: reasonOf(error) });
    throw error;
  }
  await writeManifest(place, { ...manifest, damage: undefined, verifiedAt: now().toISOString() });
  return result;
}

export function writeManifest(place: BackupPlace, manifest: Omit<Manifest, 'formatVersion'>): Promise<void> {
  return place.put(manifestName(manifest.id), onePart(encodeManifest(manifest)));
}

/** A backup that is verified or restored must at least be complete. @throws Error if it is not */
export function checkComplete({ fault, manifest }: CatalogEntry): void {
  if (fault !== undefined && fault !== manifest.damage) throw new Error(fault);
}
