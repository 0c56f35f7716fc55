import { assert } from '../../lib/assert.ts';
import type { DiskDone, LogDisk, WritableFile } from '../../ports/log-disk.ts';
import { zeros } from './file-window.ts';

/** Bytes that are filled with zeros by one write, as long as no append waits for more. */
export const DEFAULT_SLICE_BYTES = 128 << 10;

/**
 * A segment open for writing. Bytes up to `ready` are filled with zeros and synced. So overwriting them changes no
 * metadata, and can't fail because the disk is full. A write beyond `ready` allocates its space itself.
 */
export class SegmentFile {
  path: string;
  /** Size of the finished segment. */
  size: number;
  ready: number;
  readonly #file: WritableFile;
  #isPreparing = false;

  private constructor(file: WritableFile, place: { path: string; size: number; ready: number }) {
    this.#file = file;
    this.path = place.path;
    this.size = place.size;
    this.ready = place.ready;
  }

  static create(disk: LogDisk, path: string, size: number): SegmentFile {
    return new SegmentFile(disk.create(path), { path, size, ready: 0 });
  }

  /** @param place its `ready` bytes are written or zero, usually the whole file */
  static reopen(disk: LogDisk, place: { path: string; size: number; ready: number }): SegmentFile {
    const file = disk.openToWrite(place.path);
    // The last write of a killed process may be readable but not on disk.
    file.syncNow();
    return new SegmentFile(file, place);
  }

  get isReady(): boolean {
    return this.ready >= this.size;
  }

  /** Whether zeros are being written after `ready`. No other write may go there meanwhile. */
  get isPreparing(): boolean {
    return this.#isPreparing;
  }

  /** The next slice of zeros follows these bytes, even if this write fails. */
  write(bytes: Buffer, position: number, done: DiskDone): void {
    const end = position + bytes.length;
    assert(end <= this.ready || !this.#isPreparing, 'zeros and records are never written to the same place');
    this.ready = Math.max(this.ready, end);
    this.#file.write(bytes, position, done);
  }

  writeNow(bytes: Buffer, position: number): void {
    this.#file.writeNow(bytes, position);
  }

  /** Fills the next slice with zeros. Rejects with ENOSPC if the disk is full. It may be called again. */
  prepareSlice(sliceBytes: number): Promise<void> {
    const length = Math.min(sliceBytes, zeros.length, this.size - this.ready);
    const start = this.ready;
    this.#isPreparing = true;
    return new Promise((resolve, reject) => {
      this.#file.write(zeros.subarray(0, length), start, (error) => {
        this.#isPreparing = false;
        if (error !== null) return reject(error);
        this.ready = start + length;
        resolve();
      });
    });
  }

  /** Prepares the first bytes of a new log. */
  prepareNow(bytes: number): void {
    this.#file.writeNow(zeros.subarray(0, bytes), 0);
    this.ready = bytes;
  }

  close(): void {
    this.#file.close();
  }
}
