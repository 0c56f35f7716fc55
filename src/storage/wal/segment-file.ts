import { closeSync, constants, openSync, write } from 'node:fs';
import { zeros } from './file-window.ts';

const sliceBytes = 128 << 10;

/** Writes all of `bytes`, in as many calls as it takes. Calls back once, with the error if there was one. */
export function writeFully(
  file: number,
  bytes: Buffer,
  position: number,
  done: (error: NodeJS.ErrnoException | null) => void,
): void {
  write(file, bytes, 0, bytes.length, position, (error, written) => {
    if (error !== null) done(error);
    else if (written === bytes.length) done(null);
    else if (written === 0) done(new Error('the disk took none of the bytes'));
    else writeFully(file, bytes.subarray(written), position + written, done);
  });
}

/**
 * A segment open for writing. The file is opened with O_DSYNC: a write returns once it is on disk, which takes
 * one trip through the thread pool instead of two. Bytes up to `ready` are filled with zeros and synced, so
 * that writing over them changes no metadata and can't fail for want of space.
 */
export class SegmentFile {
  readonly file: number;
  path: string;
  /** Bytes it is to have. */
  size: number;
  ready: number;
  #isPreparing = false;
  #isClosed = false;

  private constructor(file: number, path: string, size: number, ready: number) {
    this.file = file;
    this.path = path;
    this.size = size;
    this.ready = ready;
  }

  static create(path: string, size: number): SegmentFile {
    const flags = constants.O_RDWR | constants.O_DSYNC | constants.O_CREAT | constants.O_EXCL;
    return new SegmentFile(openSync(path, flags, 0o600), path, size, 0);
  }

  /** @param ready bytes of it that are written or zero, its whole length as a rule */
  static reopen(path: string, size: number, ready: number): SegmentFile {
    return new SegmentFile(openSync(path, constants.O_RDWR | constants.O_DSYNC), path, size, ready);
  }

  get isReady(): boolean {
    return this.ready >= this.size;
  }

  /** Fills the next slice with zeros. Rejects with ENOSPC when the disk is full; calling again tries again. */
  prepareSlice(): Promise<void> {
    const length = Math.min(sliceBytes, this.size - this.ready);
    this.#isPreparing = true;
    return new Promise((resolve, reject) => {
      writeFully(this.file, zeros.subarray(0, length), this.ready, (error) => {
        this.#isPreparing = false;
        if (this.#isClosed) closeSync(this.file);
        if (error !== null) return reject(error);
        this.ready += length;
        resolve();
      });
    });
  }

  /** A slice under way keeps the file open until it is written: its descriptor must not become another file's. */
  close(): void {
    this.#isClosed = true;
    if (!this.#isPreparing) closeSync(this.file);
  }
}
