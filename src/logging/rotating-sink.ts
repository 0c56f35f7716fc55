import {
  closeSync,
  createReadStream,
  createWriteStream,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { timestamp } from './line-format.ts';
import type { Sink } from './sinks.ts';

export interface RotationOptions {
  readonly maxSizeMegabytes: number;
  /** 0 keeps files of any age. */
  readonly maxAgeDays: number;
  /** 0 keeps any number. */
  readonly maxBackups: number;
  readonly localTime: boolean;
  readonly compress: boolean;
}

const megabyte = 1024 * 1024;
const dayMs = 24 * 60 * 60_000;

/**
 * A log file that moves aside when full, to `name-2026-11-20T22-00-00.000.log` as lumberjack names it (which etcd
 * uses), so that tools which collect etcd's rotated logs find these. A library would bring other names.
 */
export class RotatingSink implements Sink {
  readonly #path: string;
  readonly #options: RotationOptions;
  #descriptor: number;
  #size: number;

  /** @throws when the file cannot be opened */
  constructor(path: string, options: RotationOptions) {
    this.#path = path;
    this.#options = options;
    mkdirSync(dirname(path), { recursive: true });
    this.#descriptor = openSync(path, 'a', 0o600);
    this.#size = fstatSync(this.#descriptor).size;
  }

  write(line: string): void {
    const length = Buffer.byteLength(line);
    try {
      if (this.#size > 0 && this.#size + length > this.#options.maxSizeMegabytes * megabyte) this.#rotate();
      writeSync(this.#descriptor, line);
      this.#size += length;
    } catch {
      // Nowhere left to say so: the log is what failed.
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #rotate(): void {
    closeSync(this.#descriptor);
    const backup = this.#backupPath(Date.now());
    renameSync(this.#path, backup);
    this.#descriptor = openSync(this.#path, 'a', 0o600);
    this.#size = 0;
    this.#removeOld();
    if (this.#options.compress) void compress(backup);
  }

  #backupPath(nowMs: number): string {
    const utc = new Date(nowMs).toISOString();
    const time = (this.#options.localTime ? timestamp(nowMs) : utc).slice(0, 23).replaceAll(':', '-');
    const extension = extname(this.#path);
    return join(dirname(this.#path), `${basename(this.#path, extension)}-${time}${extension}`);
  }

  #removeOld(): void {
    const extension = extname(this.#path);
    const prefix = `${basename(this.#path, extension)}-`;
    const folder = dirname(this.#path);
    // The names hold the time, so that the newest sort last.
    const backups = readdirSync(folder)
      .filter((name) => name.startsWith(prefix) && /\.\d{3}/.test(name))
      .sort()
      .reverse();
    const { maxBackups, maxAgeDays } = this.#options;
    const oldest = maxAgeDays === 0 ? '' : this.#backupPath(Date.now() - maxAgeDays * dayMs);
    backups.forEach((name, place) => {
      const surplus = maxBackups > 0 && place >= maxBackups;
      if (surplus || name < basename(oldest)) rmSync(join(folder, name), { force: true });
    });
  }
}

async function compress(path: string): Promise<void> {
  try {
    await pipeline(createReadStream(path), createGzip(), createWriteStream(`${path}.gz`, { mode: 0o600 }));
    rmSync(path, { force: true });
  } catch {
    rmSync(`${path}.gz`, { force: true });
  }
}
