import { randomBytes } from 'node:crypto';
import { createReadStream, promises as fs } from 'node:fs';
import { join } from 'node:path';
import { type BackupPlace, MissingObjectError, type StoredObject } from './place.ts';

const READ_BYTES = 256 << 10;
/** The end of the name of a file that is being written. */
export const PART_SUFFIX = '.part';

/** Backups in a folder, which may be a mounted share. */
export class FolderPlace implements BackupPlace {
  readonly url: string;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    this.url = `file://${folder}`;
  }

  async list(): Promise<StoredObject[]> {
    const names = await fs.readdir(this.#folder).catch((error: unknown) => {
      if (isAbsent(error)) return [];
      throw error;
    });
    const found = await Promise.all(names.map((name) => this.#stat(name)));
    return found.filter((object) => object !== undefined);
  }

  /** Undefined for a folder, and for a file that is removed meanwhile. */
  async #stat(name: string): Promise<StoredObject | undefined> {
    try {
      const stat = await fs.stat(join(this.#folder, name));
      return stat.isFile() ? { name, bytes: stat.size, modifiedMs: stat.mtimeMs } : undefined;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  /** The file gets its name only when all its bytes are on disk. */
  async put(name: string, bytes: AsyncIterable<Buffer>): Promise<void> {
    await fs.mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const path = join(this.#folder, name);
    const part = `${path}.${randomBytes(4).toString('hex')}${PART_SUFFIX}`;
    try {
      const file = await fs.open(part, 'wx', 0o600);
      try {
        for await (const chunk of bytes) await file.writeFile(chunk);
        await file.sync();
      } finally {
        await file.close();
      }
      await fs.rename(part, path);
    } catch (error) {
      await fs.rm(part, { force: true });
      throw error;
    }
    await this.#syncFolder();
  }

  async *get(name: string): AsyncGenerator<Buffer, void> {
    try {
      yield* createReadStream(join(this.#folder, name), {
        highWaterMark: READ_BYTES,
      }) as AsyncIterable<Buffer>;
    } catch (error) {
      throw isAbsent(error) ? new MissingObjectError(name) : error;
    }
  }

  async remove(name: string): Promise<void> {
    await fs.rm(join(this.#folder, name), { force: true });
    await this.#syncFolder();
  }

  folder(name: string): FolderPlace {
    return new FolderPlace(join(this.#folder, name));
  }

  async #syncFolder(): Promise<void> {
    const folder = await fs.open(this.#folder, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
