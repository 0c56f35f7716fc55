import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  rename,
  renameSync,
  rmSync,
  statSync,
  unlink,
  write,
  writeSync,
} from 'node:fs';
import { threadTimes } from './thread-times.ts';
import type { DiskDone, LogDisk, OpenDirectory, ReadableFile, WritableFile } from '../../ports/log-disk.ts';

const NOTHING_WRITTEN = 'the disk took none of the bytes';

/** Writes all of `bytes`, in as many calls as it takes. */
function writeFully(file: number, bytes: Buffer, position: number, done: DiskDone): void {
  write(file, bytes, 0, bytes.length, position, (error, written) => {
    if (error !== null) done(error);
    else if (written === bytes.length) done(null);
    else if (written === 0) done(new Error(NOTHING_WRITTEN));
    else writeFully(file, bytes.subarray(written), position + written, done);
  });
}

/** Opened with O_DSYNC: a write is on disk when it returns. That needs one task of the thread pool instead of two. */
class SyncedFile implements WritableFile {
  readonly #file: number;
  #writes = 0;
  #isClosed = false;

  constructor(path: string, flags: number) {
    this.#file = openSync(path, constants.O_RDWR | constants.O_DSYNC | flags, 0o600);
  }

  write(bytes: Buffer, position: number, done: DiskDone): void {
    this.#writes += 1;
    writeFully(this.#file, bytes, position, (error) => {
      this.#writes -= 1;
      if (this.#isClosed && this.#writes === 0) closeSync(this.#file);
      done(error);
    });
  }

  writeNow(bytes: Buffer, position: number): void {
    for (let at = 0; at < bytes.length;) {
      const written = writeSync(this.#file, bytes, at, bytes.length - at, position + at);
      if (written === 0) throw new Error(NOTHING_WRITTEN);
      at += written;
    }
  }

  syncNow(): void {
    fdatasyncSync(this.#file);
  }

  /** A running write keeps the file open until it ends, since its descriptor must not be reused for another file. */
  close(): void {
    this.#isClosed = true;
    if (this.#writes === 0) closeSync(this.#file);
  }
}

class OpenFile implements ReadableFile {
  readonly size: number;
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, 'r');
    this.size = fstatSync(this.#file).size;
  }

  read(into: Buffer, position: number): number {
    let total = 0;
    while (total < into.length) {
      const count = readSync(this.#file, into, total, into.length - total, position + total);
      if (count === 0) break;
      total += count;
    }
    return total;
  }

  close(): void {
    closeSync(this.#file);
  }
}

function listNames(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function openDirectory(path: string): OpenDirectory {
  const file = openSync(path, 'r');
  return { sync: (done) => fsync(file, done), close: () => closeSync(file) };
}

function syncDirectoryNow(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** The file system of the machine. */
export const nodeDisk: LogDisk = {
  times: threadTimes,
  list: listNames,
  openToRead: (path) => new OpenFile(path),
  create: (path) => new SyncedFile(path, constants.O_CREAT | constants.O_EXCL),
  openToWrite: (path) => new SyncedFile(path, 0),
  openDirectory,
  space: (path) => {
    const { size, blocks } = statSync(path);
    return { size, hasHoles: blocks * 512 < size };
  },
  makeDirectory: (path) => void mkdirSync(path, { recursive: true, mode: 0o700 }),
  removeNow: (path) => rmSync(path, { recursive: true, force: true }),
  renameNow: renameSync,
  syncDirectoryNow,
  rename,
  remove: unlink,
  endOfTurn: (task) => process.nextTick(task),
  afterInput: (task) => void setImmediate(task),
  after: (delayMs, task) => {
    const timer = setTimeout(task, delayMs).unref();
    return () => clearTimeout(timer);
  },
};
