import { Writer } from '../wire/writer.ts';

/**
 * Data of at least this many bytes is passed to the socket without a copy. Copying smaller data is cheaper than another
 * slice.
 */
const SPLICE_BYTES = 4096;

export function isSpliced(data: Buffer | undefined): data is Buffer {
  return data !== undefined && data.length >= SPLICE_BYTES;
}

/** Whether the bytes are plain, or one chunk of HTTP's chunked encoding. */
export type Framing = 'bare' | 'chunk';

const LINE_END = '\r\n';

/**
 * Encodes into one buffer. Large data is not copied, but put between slices of the buffer. Start and end of a chunk are
 * in the buffer too. So without large data there is only one buffer, which a socket writes fastest.
 */
export class SpliceWriter {
  readonly writer: Writer;
  readonly #parts: Buffer[] = [];
  readonly #isChunk: boolean;
  #sliced = 0;

  /** Both numbers are exact; `splicedBytes` of the `bytes` are not copied. */
  constructor({ bytes, splicedBytes }: { bytes: number; splicedBytes: number }, framing: Framing) {
    const head = framing === 'chunk' ? bytes.toString(16) + LINE_END : '';
    this.#isChunk = framing === 'chunk';
    const around = this.#isChunk ? head.length + LINE_END.length : 0;
    this.writer = new Writer(bytes - splicedBytes + around);
    this.#text(head);
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

  finish(): Buffer[] {
    if (this.#isChunk) this.#text(LINE_END);
    this.writer.finish();
    this.#cut();
    return this.#parts;
  }

  #text(text: string): void {
    for (let i = 0; i < text.length; i += 1) this.writer.byte(text.charCodeAt(i));
  }

  #cut(): void {
    const { buffer, position } = this.writer;
    if (position > this.#sliced) this.#parts.push(buffer.subarray(this.#sliced, position));
    this.#sliced = position;
  }
}
