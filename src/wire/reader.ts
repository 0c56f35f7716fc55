import { WireError } from './wire-error.ts';

/** The value of all absent bytes fields. */
export const EMPTY: Buffer = Buffer.alloc(0);

/**
 * Deeper nesting is refused, which limits the stack that a malicious message can use. Go allows 10,000. Valid requests
 * are far below both.
 */
const MAX_DEPTH = 1000;

const TWO_32 = 2 ** 32;

const TRUNCATED = 'unexpected EOF';
const TOO_DEEP = 'exceeded maximum recursion depth';
const NOT_UTF8 = 'string field contains invalid UTF-8';
const OVERFLOW = 'variable length integer overflow';

/** Combines the halves of a 64-bit integer into a bigint without intermediate bigints. */
const halves = new DataView(new ArrayBuffer(8));

/**
 * Reads protobuf's wire format. Bytes fields are views into the input, never copies.
 *
 * A field may exceed the end of its nested message, but not the input. {@link Reader.finish} then refuses the message.
 */
export class Reader {
  readonly buffer: Buffer;
  readonly length: number;
  position = 0;
  /** Further messages of a list are read and checked, but not kept. */
  mostItems = Infinity;
  /** How many tags were read: about how much work there was. */
  tags = 0;
  #depth = 0;
  /** The halves of the last varint that took more than one byte. */
  #low = 0;
  #high = 0;

  constructor(bytes: Uint8Array) {
    this.buffer = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.length = bytes.length;
  }

  /** Reads a varint into its halves. */
  #varint(): void {
    const { buffer, length } = this;
    let { position } = this;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (position >= length) throw new WireError(TRUNCATED);
      const byte = buffer[position++] ?? 0;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else if (shift < 63) high |= bits << (shift - 32);
      else {
        if (byte > 1) throw new WireError(OVERFLOW);
        high |= bits << 31;
      }
      if (byte < 0x80) {
        this.#low = low >>> 0;
        this.#high = high >>> 0;
        this.position = position;
        return;
      }
    }
    throw new WireError(OVERFLOW);
  }

  /** Reads a varint of one byte, as most are. Returns -1 if the next varint is longer. */
  #single(): number {
    const { position } = this;
    if (position >= this.length) return -1;
    const byte = this.buffer[position] ?? 0;
    if (byte >= 0x80) return -1;
    this.position = position + 1;
    return byte;
  }

  uint32(): number {
    const single = this.#single();
    if (single >= 0) return single;
    this.#varint();
    return this.#low;
  }

  int32(): number {
    return this.uint32() | 0;
  }

  bool(): boolean {
    const single = this.#single();
    if (single >= 0) return single !== 0;
    this.#varint();
    return this.#low !== 0 || this.#high !== 0;
  }

  /** Exact up to 2^53, then the nearest double. That is enough to compare it with limits. */
  uint64(): number {
    const single = this.#single();
    if (single >= 0) return single;
    this.#varint();
    return this.#high * TWO_32 + this.#low;
  }

  /** Exact within ±2^53, otherwise the nearest double. */
  int64(): number {
    const single = this.#single();
    if (single >= 0) return single;
    this.#varint();
    return (this.#high | 0) * TWO_32 + this.#low;
  }

  uint64Big(): bigint {
    this.#varint();
    halves.setUint32(0, this.#high);
    halves.setUint32(4, this.#low);
    return halves.getBigUint64(0);
  }

  int64Big(): bigint {
    this.#varint();
    halves.setUint32(0, this.#high);
    halves.setUint32(4, this.#low);
    return halves.getBigInt64(0);
  }

  /** Reads the length of a length-delimited field and returns the position of its end. */
  #extent(): number {
    let length = this.#single();
    if (length < 0) {
      this.#varint();
      if (this.#high !== 0) throw new WireError(TRUNCATED);
      length = this.#low;
    }
    const end = this.position + length;
    if (end > this.length) throw new WireError(TRUNCATED);
    return end;
  }

  bytes(): Buffer {
    const end = this.#extent();
    const start = this.position;
    if (end === start) return EMPTY;
    this.position = end;
    return this.buffer.subarray(start, end);
  }

  /** Reads a string. Invalid UTF-8 is refused as in Go. */
  string(): string {
    const end = this.#extent();
    const start = this.position;
    this.position = end;
    const text = this.buffer.toString('utf8', start, end);
    if (text.includes('\ufffd') && !Buffer.from(text, 'utf8').equals(this.buffer.subarray(start, end))) {
      throw new WireError(NOT_UTF8, NOT_UTF8);
    }
    return text;
  }

  /** Enters a nested message and returns the position of its end. */
  nested(): number {
    const end = this.#extent();
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw new WireError(TOO_DEEP, `proto: ${TOO_DEEP}`);
    return end;
  }

  leave(): void {
    this.#depth -= 1;
  }

  /** Enters a packed list and returns the position of its end. */
  packed(): number {
    return this.#extent();
  }

  tag(): number {
    this.tags += 1;
    let tag = this.#single();
    if (tag < 0) {
      this.#varint();
      if (this.#high !== 0) throw new WireError('invalid field number');
      tag = this.#low;
    }
    if (tag < 8) throw new WireError('invalid field number');
    return tag;
  }

  /**
   * The end of the next whole fields of the outermost message: so many that they have about `bytes` bytes. If they are
   * invalid, the end of the input: reading them finds the fault.
   */
  endOfFields(bytes: number): number {
    const start = this.position;
    try {
      while (this.position < this.length && this.position - start < bytes) this.skip(this.tag());
      return this.position;
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      return this.length;
    } finally {
      this.position = start;
    }
  }

  /** Skips an unknown field, or a known field with another wire type. */
  skip(tag: number): void {
    switch (tag & 7) {
      case 0:
        this.#varint();
        return;
      case 1:
        this.#advance(8);
        return;
      case 2:
        this.position = this.#extent();
        return;
      case 3:
        this.#skipGroup(tag >>> 3);
        return;
      case 5:
        this.#advance(4);
        return;
      default:
        throw new WireError('cannot parse invalid wire-format data');
    }
  }

  #skipGroup(field: number): void {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw new WireError(TOO_DEEP, `proto: ${TOO_DEEP}`);
    for (;;) {
      const tag = this.tag();
      if ((tag & 7) === 4) {
        if (tag >>> 3 !== field) throw new WireError('mismatching end group marker');
        break;
      }
      this.skip(tag);
    }
    this.#depth -= 1;
  }

  #advance(count: number): void {
    if (count > this.length - this.position) throw new WireError(TRUNCATED);
    this.position += count;
  }

  /** Checks that the fields of a message or the items of a list end exactly at its end. */
  finish(end: number): void {
    if (this.position !== end) throw new WireError(TRUNCATED);
  }
}
