import {
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { backupPath, removeOldBackups } from './rotated-files.ts';
import type { Sink } from './sinks.ts';

export interface RotationOptions {
  readonly maxSizeMegabytes: number;
  /** 0 keeps files of any age. */
  readonly maxAgeDays: number;
  /** 0 keeps any number of files. */
  readonly maxBackups: number;
  readonly localTime: boolean;
  readonly compress: boolean;
}

const MEGABYTE = 1024 * 1024;

/**
 * A log file that is renamed when full, to `name-2026-11-20T22-00-00.000.log`. etcd uses lumberjack, which has the
 * same names, so that tools that collect etcd's rotated logs find these too. A library would use other names.
 */
export class RotatingSink implements Sink {
  readonly #path: string;
  readonly #options: RotationOptions;
  #descriptor: number;
  #size: number;

  /** @throws if the file cannot be opened */
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
      if (this.#size > 0 && this.#size + length > this.#options.maxSizeMegabytes * MEGABYTE) this.#rotate();
      writeSync(this.#descriptor, line);
      this.#size += length;
    } catch {
      // The error cannot be logged: it is the log that failed.
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  /** The old file is closed last. If an earlier step fails, the sink still has this descriptor. */
  #rotate(): void {
    const backup = backupPath(this.#path, Date.now(), this.#options.localTime);
    const isThere = existsSync(this.#path);
    if (isThere) renameSync(this.#path, backup);
    const next = openSync(this.#path, 'a', 0o600);
    closeSync(this.#descriptor);
    this.#descriptor = next;
    this.#size = 0;
    removeOldBackups(this.#path, this.#options);
    if (this.#options.compress && isThere) void compress(backup);
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
