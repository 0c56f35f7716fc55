import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, promises as fs } from 'node:fs';
import { join } from 'node:path';
import { BoltReader } from '../bbolt/reader.ts';
import { hex } from '../lib/text.ts';
import type { EntryId } from '../ports/applied-log.ts';
import { FileSource } from '../snapshot/file-source.ts';
import { readPosition } from '../snapshot/import-backend.ts';
import { readCatalog } from './catalog.ts';
import { type BackupKey, encrypted } from './encryption.ts';
import { backupId, type Manifest, objectName } from './manifest.ts';
import type { BackupPlace } from './place.ts';
import type { BackupProgress } from './trial-restore.ts';
import { verifyBackup, writeManifest } from './verify.ts';
import { withWorkFolder } from './work-folder.ts';

const READ_BYTES = 256 << 10;
/** How often a snapshot is taken again because the store was compacted before its HashKV was known. */
const ATTEMPTS = 4;

export interface SourceHash {
  readonly hash: number;
  readonly compactRevision: number;
  readonly clusterId: bigint;
  readonly memberId: bigint;
}

/** The member that is backed up. */
export interface BackupSource {
  /** Saves a snapshot with its checksum at the end. */
  save(path: string): Promise<void>;
  /** HashKV of the member at a revision. Undefined if that revision is compacted. */
  hashKv(revision: number): Promise<SourceHash | undefined>;
}

export interface TakeOptions {
  readonly source: BackupSource;
  readonly place: BackupPlace;
  readonly key: BackupKey | undefined;
  /** Where the temporary files are: about twice the size of the snapshot. */
  readonly temporary: string;
  readonly now: () => Date;
  readonly keysteadVersion: string;
  /** Throws if the backup is to be given up. Called often. */
  readonly mayContinue?: () => void;
  readonly onProgress?: BackupProgress;
}

/**
 * Takes a backup: saves a snapshot, asks the same member for HashKV at its revision, stores the snapshot and then its
 * manifest, and verifies what was stored by a trial restore.
 *
 * @returns the manifest of the verified backup
 * @throws Error if a step fails. Then there is no new backup, or one that is marked as damaged or not verified.
 */
export function takeBackup(options: TakeOptions): Promise<Manifest> {
  const { place, key, temporary, now, mayContinue = () => undefined, onProgress } = options;
  return withWorkFolder(temporary, async (folder) => {
    const file = join(folder, 'snapshot.db');
    const snapshot = await saveWithHash(options.source, file);
    mayContinue();
    const { nextSequence: sequence } = await readCatalog(place);
    const { revision, applied, time } = snapshot;
    const id = backupId(sequence, revision, time, randomBytes(4).toString('hex'));
    const object = objectName(id, key !== undefined);
    const hash = createHash('sha256');
    let bytes = 0;
    const plain = createReadStream(file, { highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>;
    async function* stored(): AsyncGenerator<Buffer, void> {
      for await (const part of key === undefined ? plain : encrypted(plain, key, id)) {
        mayContinue();
        hash.update(part);
        bytes += part.length;
        onProgress?.('storing the backup', 'bytes', bytes);
        yield part;
      }
    }
    await place.put(object, stored());
    await fs.rm(file);
    const manifest: Manifest = {
      formatVersion: 1,
      id,
      sequence,
      clusterId: hex(snapshot.clusterId),
      memberId: hex(snapshot.memberId),
      revision,
      compactRevision: snapshot.compactRevision,
      applied,
      hashKv: snapshot.hash,
      object,
      bytes,
      sha256: hash.digest('hex'),
      ...(key === undefined ? {} : { encryption: { algorithm: 'AES-256-GCM', keyId: key.id } }),
      time: time.toISOString(),
      keysteadVersion: options.keysteadVersion,
    };
    mayContinue();
    await writeManifest(place, manifest);
    await verifyBackup(manifest, {
      place,
      key,
      temporary: folder,
      now,
      ...(onProgress === undefined ? {} : { onProgress }),
    });
    return { ...manifest, verifiedAt: now().toISOString() };
  });

  async function saveWithHash(
    source: BackupSource,
    file: string,
  ): Promise<SourceHash & { revision: number; applied: EntryId; time: Date }> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      mayContinue();
      const time = now();
      await source.save(file);
      const { revision, compactRevision, applied } = positionOf(file);
      const hash = await source.hashKv(revision);
      // HashKV leaves out what is compacted. So it can be compared only at the same compaction.
      if (hash !== undefined && hash.compactRevision === compactRevision)
        return { ...hash, revision, applied, time };
    }
    throw new Error(`the store was compacted during each of ${ATTEMPTS} snapshots`);
  }
}

function positionOf(file: string): ReturnType<typeof readPosition> {
  const source = new FileSource(file);
  try {
    return readPosition(BoltReader.open(source));
  } finally {
    source.close();
  }
}
