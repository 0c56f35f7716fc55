import { join } from 'node:path';
import type { StoreHash } from '../mvcc/hash.ts';
import { StoreMeta } from '../mvcc/store-meta.ts';
import { hashInWorker } from '../snapshot/hash-in-worker.ts';
import { importSnapshot } from '../snapshot/import-snapshot.ts';
import { RocksEngine } from '../storage/rocks-engine.ts';
import type { Manifest } from './manifest.ts';

export interface TrialResult {
  readonly keys: number;
  readonly events: number;
}

/**
 * Called now and then while a backup is taken, read or restored, with the name of the step and how much of it is done.
 * The total is undefined where it is not known.
 */
export type BackupProgress = (step: string, unit: string, done: number, total?: number) => void;

/** A trial restore needs only a small cache. */
const CACHE_BYTES = 8 << 20;

/**
 * Restores a snapshot into a temporary store and compares it with the manifest. The work is done by worker threads.
 *
 * @param file a snapshot with its checksum
 * @param then called with the store when it is as the manifest says
 * @throws Error if it cannot be restored or is not what the manifest says
 */
export async function tryRestore(
  file: string,
  manifest: Pick<Manifest, 'revision' | 'compactRevision' | 'hashKv'>,
  folder: string,
  onProgress?: BackupProgress,
  then?: (engine: RocksEngine) => Promise<void>,
): Promise<TrialResult> {
  const directory = join(folder, 'trial');
  const { keys, events } = await importSnapshot({
    file,
    directory,
    onProgress: (changes) => onProgress?.('restoring for a trial', 'changes', changes),
  });
  const engine = await RocksEngine.open(directory, {
    tuning: { blockCacheBytes: CACHE_BYTES, compactionThreads: 1 },
  });
  try {
    await compareStore(engine, manifest);
    await then?.(engine);
  } finally {
    await engine.close();
  }
  return { keys, events };
}

/** @throws Error if the revisions or HashKV of a store differ from those of the manifest */
export async function compareStore(
  engine: RocksEngine,
  { revision, compactRevision, hashKv }: Pick<Manifest, 'revision' | 'compactRevision' | 'hashKv'>,
): Promise<void> {
  const found = await hashStoreAt(engine);
  if (found.revision !== revision || found.compactRevision !== compactRevision)
    throw new Error(
      `it has revision ${found.revision}, compacted at ${found.compactRevision}, instead of ${revision}, compacted at ${compactRevision}`,
    );
  if (found.hash !== hashKv)
    throw new Error(`its HashKV at revision ${revision} is ${found.hash} instead of ${hashKv}`);
}

/** HashKV of a store at its latest revision. */
function hashStoreAt(engine: RocksEngine): Promise<StoreHash> {
  const { revision = 1, compactRevision, finishedRevision } = new StoreMeta(engine);
  return hashInWorker(engine, { engine, revision, compactRevision, finishedRevision }, () => undefined);
}
