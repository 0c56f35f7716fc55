import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const windowBytes = 1 << 20;

/** Reads a file through one reused window, so that a scan costs a megabyte of memory and not the file's size. */
export class FileWindow {
  readonly size: number;
  readonly #file: number;
  #window = Buffer.allocUnsafeSlow(windowBytes);
  /** The window holds the file's bytes [start, end). */
  #start = 0;
  #end = 0;

  constructor(path: string) {
    this.#file = openSync(path, 'r');
    this.size = fstatSync(this.#file).size;
  }

  /** Bytes [offset, offset + length), fewer at the file's end. Valid until the next call. */
  bytes(offset: number, length: number): Buffer {
    const end = Math.min(offset + length, this.size);
    if (offset < this.#start || end > this.#end) this.#fill(offset, end - offset);
    return this.#window.subarray(offset - this.#start, Math.max(offset, end) - this.#start);
  }

  /** Offset just past the last byte that is not zero, at or after `from`; `from` when only zeros follow. */
  lastNonZero(from: number): number {
    let found = from;
    for (let at = from; at < this.size; at += windowBytes) {
      const chunk = this.bytes(at, windowBytes);
      if (chunk.equals(zeros.subarray(0, chunk.length))) continue;
      let last = chunk.length - 1;
      while (chunk[last] === 0) last--;
      found = at + last + 1;
    }
    return found;
  }

  close(): void {
    closeSync(this.#file);
  }

  #fill(offset: number, length: number): void {
    if (length > this.#window.length) this.#window = Buffer.allocUnsafeSlow(length);
    let read = 0;
    while (read < this.#window.length) {
      const more = readSync(this.#file, this.#window, read, this.#window.length - read, offset + read);
      if (more === 0) break;
      read += more;
    }
    this.#start = offset;
    this.#end = offset + read;
  }
}

export const zeros = Buffer.alloc(windowBytes);
