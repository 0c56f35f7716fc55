import { assert, defined } from '../lib/assert.ts';
import { EMPTY } from '../wire/reader.ts';
import { StreamFormatError } from './stream-error.ts';

const TWO_32 = 2 ** 32;

/** Received bytes that are not read yet. Read bytes are a view of the received buffer, unless they span two buffers. */
export class ByteQueue {
  #pieces: Buffer[] = [];
  /** Bytes of the first piece that are read. */
  #taken = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.#length += piece.length;
  }

  /** The next byte, without reading it; undefined if there is none. */
  peek(): number | undefined {
    return this.#pieces[0]?.[this.#taken];
  }

  /** Reads the next `count` bytes, which must have arrived. */
  take(count: number): Buffer {
    assert(count <= this.#length, 'bytes are read after they have arrived');
    this.#length -= count;
    const first = this.#pieces[0];
    if (first === undefined) return EMPTY;
    const end = this.#taken + count;
    if (end < first.length) {
      const bytes = first.subarray(this.#taken, end);
      this.#taken = end;
      return bytes;
    }
    if (end === first.length) {
      const bytes = first.subarray(this.#taken);
      this.#pieces.shift();
      this.#taken = 0;
      return bytes;
    }
    return this.#join(count);
  }

  #join(count: number): Buffer {
    const joined = Buffer.allocUnsafe(count);
    let at = 0;
    let used = 0;
    while (at < count) {
      const piece = defined(this.#pieces[used], 'the queue has as many bytes as its length');
      const end = Math.min(piece.length, this.#taken + count - at);
      at += piece.copy(joined, at, this.#taken, end);
      this.#taken = end;
      if (end === piece.length) {
        used += 1;
        this.#taken = 0;
      }
    }
    this.#pieces.splice(0, used);
    return joined;
  }

  /** A 64-bit number, big endian. @throws StreamFormatError beyond 2^53 */
  takeUint64(): number {
    const bytes = this.take(8);
    const value = bytes.readUInt32BE(0) * TWO_32 + bytes.readUInt32BE(4);
    if (!Number.isSafeInteger(value)) throw new StreamFormatError('a number of the stream is out of range');
    return value;
  }
}
