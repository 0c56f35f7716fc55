import { promises as fs } from 'node:fs';
import { dirname } from 'node:path';
import type { ImportedState } from './import-backend.ts';
import { importSnapshot } from './import-snapshot.ts';

export interface ReceiveSnapshotOptions {
  /** The database as it comes in; it is read no faster than the disk takes it. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Where the database is kept until it is read into a store; removed at the end. */
  readonly file: string;
  /** Where the store is made; see `importSnapshot`. */
  readonly directory: string;
  /** The snapshot's index, which the database must have applied. */
  readonly index: number;
}

/**
 * Takes in a snapshot that a leader sends and makes a store of it, all off the main thread.
 *
 * Rejects when the sender breaks off, the disk is full, or the database is damaged or not the one announced. Nothing
 * is left behind then.
 */
export async function receiveSnapshot(options: ReceiveSnapshotOptions): Promise<ImportedState> {
  const { body, file, directory, index } = options;
  await fs.mkdir(dirname(file), { recursive: true, mode: 0o700 });
  try {
    await save(body, file);
    const state = await importSnapshot({ file, directory });
    if (state.index === index) return state;
    await fs.rm(directory, { recursive: true, force: true });
    throw new Error(`the snapshot has applied entry ${state.index} instead of ${index}`);
  } finally {
    await fs.rm(file, { force: true });
  }
}

async function save(body: AsyncIterable<Uint8Array>, path: string): Promise<void> {
  const file = await fs.open(path, 'w', 0o600);
  try {
    for await (const bytes of body) await file.writeFile(bytes);
  } finally {
    await file.close();
  }
}
