import { promises as fs, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { SnapshotPart } from '../ports/peer-transport.ts';
import type { ImportedState } from './import-backend.ts';
import { importSnapshot } from './import-snapshot.ts';

/** How long the received part of an interrupted transfer is kept. */
const KEEP_PART_MS = 300_000;

/** Files of incoming snapshots. */
const FILE_NAME = /^[0-9a-f]{16}\.snap\.db$/;

export interface IncomingSnapshot extends SnapshotPart {
  /** The bytes of the database from `offset` on. They are read no faster than the disk writes them. */
  readonly body: AsyncIterable<Uint8Array>;
  /** The index of the snapshot. The database must have applied it. */
  readonly index: number;
}

interface KeptPart {
  readonly id: string;
  readonly path: string;
  readonly bytes: number;
  readonly timer: NodeJS.Timeout;
}

/**
 * Receives snapshots from a leader, one at a time, and makes a store of each, outside the main thread.
 *
 * The received part of an interrupted transfer is kept for a while, at most one. The next transfer resumes it or
 * replaces it.
 */
export class IncomingSnapshots {
  readonly #folder: string;
  readonly #directory: string;
  #kept: KeptPart | undefined;

  /**
   * Removes the files of an earlier process.
   *
   * @param folder an existing folder for received files, until they are imported
   * @param directory where the store is made; see `importSnapshot`
   */
  constructor(folder: string, directory: string) {
    this.#folder = folder;
    this.#directory = directory;
    for (const name of readdirSync(folder)) if (FILE_NAME.test(name)) rmSync(join(folder, name));
  }

  /** How many bytes of a file arrived before its transfer was interrupted. */
  keptOf(id: string): number {
    return this.#kept?.id === id ? this.#kept.bytes : 0;
  }

  /**
   * Rejects if the sender stops, the disk is full, or the database is damaged or not the announced one. Only in the
   * first case a partial file is kept.
   */
  async receive({ body, index, id, offset }: IncomingSnapshot): Promise<ImportedState> {
    const path = join(this.#folder, `${index.toString(16).padStart(16, '0')}.snap.db`);
    const kept = this.#kept;
    if (offset > 0 && (kept?.id !== id || kept?.bytes !== offset || kept.path !== path))
      throw new Error('there is nothing here that this is the rest of');
    this.#kept = undefined;
    clearTimeout(kept?.timer);
    if (offset === 0 && kept !== undefined) await fs.rm(kept.path, { force: true });
    const saved = await save(body, path, offset).catch(async (error: unknown) => {
      await fs.rm(path, { force: true });
      throw error;
    });
    if (saved.error !== undefined) {
      if (id === undefined) await fs.rm(path, { force: true });
      else this.#keep({ id, path, bytes: saved.bytes });
      throw saved.error;
    }
    return this.#import(path, index);
  }

  async #import(file: string, index: number): Promise<ImportedState> {
    const directory = this.#directory;
    try {
      const state = await importSnapshot({ file, directory });
      if (state.index === index) return state;
      await fs.rm(directory, { recursive: true, force: true });
      throw new Error(`the snapshot has applied entry ${state.index} instead of ${index}`);
    } finally {
      await fs.rm(file, { force: true });
    }
  }

  #keep(part: Omit<KeptPart, 'timer'>): void {
    const timer = setTimeout(() => {
      if (this.#kept?.timer !== timer) return;
      this.#kept = undefined;
      rmSync(part.path, { force: true });
    }, KEEP_PART_MS).unref();
    this.#kept = { ...part, timer };
  }
}

/**
 * Writes to a file from its end on. Rejects if the disk fails.
 *
 * @returns the new length of the file, and the sender's error if it ended too early
 */
async function save(
  body: AsyncIterable<Uint8Array>,
  path: string,
  offset: number,
): Promise<{ readonly bytes: number; readonly error: Error | undefined }> {
  const file = await fs.open(path, offset === 0 ? 'w' : 'a', 0o600);
  const source = body[Symbol.asyncIterator]();
  let bytes = offset;
  try {
    for (;;) {
      const next = await source.next().catch((error: unknown) => {
        return error instanceof Error ? error : new Error(String(error));
      });
      if (next instanceof Error) return { bytes, error: next };
      if (next.done === true) return { bytes, error: undefined };
      try {
        await file.writeFile(next.value);
      } catch (error) {
        await source.return?.();
        throw error;
      }
      bytes += next.value.length;
    }
  } finally {
    await file.close();
  }
}
