import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { BoltFormatError } from '../bbolt/errors.ts';
import type { ByteSource } from '../bbolt/reader.ts';

/** Reads a file synchronously. Only for worker threads and tools. */
export class FileSource implements ByteSource {
  readonly size: number;
  readonly #path: string;
  readonly #file: number;

  /** @throws Error if the file cannot be opened */
  constructor(path: string) {
    this.#path = path;
    this.#file = openSync(path, 'r');
    this.size = fstatSync(this.#file).size;
  }

  read(position: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafeSlow(length);
    let read = 0;
    while (read < length) {
      const count = readSync(this.#file, bytes, read, length - read, position + read);
      if (count === 0) throw new BoltFormatError(`${this.#path} ended while it was read`);
      read += count;
    }
    return bytes;
  }

  close(): void {
    closeSync(this.#file);
  }
}
