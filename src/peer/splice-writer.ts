import { Writer } from '../wire/writer.ts';

/** Data of at least this many bytes is handed to the socket as it is; copying less is cheaper than a further slice. */
const SPLICE_BYTES = 4096;

export function isSpliced(data: Buffer | undefined): data is Buffer {
  return data !== undefined && data.length >= SPLICE_BYTES;
}

/** Encodes into one block, with large data passed on between its slices instead of being copied. */
export class SpliceWriter {
  readonly writer: Writer;
  readonly #parts: Buffer[] = [];
  #sliced = 0;

  /** @param blockBytes exactly the bytes written, without those spliced */
  constructor(blockBytes: number) {
    this.writer = new Writer(blockBytes);
  }

  uint64BE(value: number): void {
    const { writer } = this;
    writer.buffer.writeUInt32BE(Math.floor(value / 2 ** 32), writer.position);
    writer.buffer.writeUInt32BE(value % 2 ** 32, writer.position + 4);
    writer.position += 8;
  }

  splice(data: Buffer): void {
    this.#cut();
    this.#parts.push(data);
  }

  #cut(): void {
    const { buffer, position } = this.writer;
    if (position > this.#sliced) this.#parts.push(buffer.subarray(this.#sliced, position));
    this.#sliced = position;
  }

  finish(): Buffer[] {
    this.writer.finish();
    this.#cut();
    return this.#parts;
  }
}
