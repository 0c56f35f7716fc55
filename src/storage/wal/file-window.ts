import type { LogDisk, ReadableFile } from '../../ports/log-disk.ts';

const WINDOW_BYTES = 1 << 20;

/** Reads a file through one reused buffer, so that a scan needs one megabyte of memory for a file of any size. */
export class FileWindow {
  readonly size: number;
  readonly #file: ReadableFile;
  #window: Buffer;
  /** The buffer holds the bytes [start, end) of the file. */
  #start = 0;
  #end = 0;

  constructor(disk: LogDisk, path: string) {
    this.#file = disk.openToRead(path);
    this.size = this.#file.size;
    this.#window = Buffer.allocUnsafeSlow(Math.min(WINDOW_BYTES, this.size));
  }

  /** Bytes [offset, offset + length), fewer at the file's end. Valid until the next call. */
  bytes(offset: number, length: number): Buffer {
    const end = Math.min(offset + length, this.size);
    if (offset < this.#start || end > this.#end) this.#fill(offset, end - offset);
    return this.#window.subarray(offset - this.#start, Math.max(offset, end) - this.#start);
  }

  /** Offset after the last byte that is not zero, at or after `from`; `from` if only zeros follow. */
  lastNonZero(from: number): number {
    let found = from;
    for (let at = from; at < this.size; at += WINDOW_BYTES) {
      const chunk = this.bytes(at, WINDOW_BYTES);
      if (chunk.equals(zeros.subarray(0, chunk.length))) continue;
      let last = chunk.length - 1;
      while (chunk[last] === 0) last--;
      found = at + last + 1;
    }
    return found;
  }

  close(): void {
    this.#file.close();
  }

  #fill(offset: number, length: number): void {
    if (length > this.#window.length) this.#window = Buffer.allocUnsafeSlow(length);
    const read = this.#file.read(this.#window, offset);
    this.#start = offset;
    this.#end = offset + read;
  }
}

export const zeros = Buffer.alloc(WINDOW_BYTES);
