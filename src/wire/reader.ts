import { WireError } from './wire-error.ts';

/** Shared by all absent bytes fields. */
export const EMPTY: Buffer = Buffer.alloc(0);

/** Nesting beyond this is refused: it bounds the stack that a hostile message can take. */
const MAX_DEPTH = 1000;

const TWO_32 = 2 ** 32;

/** Reads protobuf's wire format. Bytes fields are views into the input, never copies. */
export class Reader {
  readonly buffer: Buffer;
  position: number;
  readonly #end: number;
  #depth = 0;
  #low = 0;
  #high = 0;

  constructor(bytes: Uint8Array) {
    this.buffer = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = 0;
    this.#end = bytes.length;
  }

  get length(): number {
    return this.#end;
  }

  /** Reads a varint into the low and high halves. */
  #varint(): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.position >= this.#end) throw new WireError('unexpected EOF');
      const byte = this.buffer[this.position++] ?? 0;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high |= bits >>> 4;
      } else if (shift < 63) high |= bits << (shift - 32);
      else {
        if (byte > 1) throw new WireError('variable length integer overflow');
        high |= bits << 31;
      }
      if (byte < 0x80) {
        this.#low = low >>> 0;
        this.#high = high >>> 0;
        return;
      }
    }
    throw new WireError('variable length integer overflow');
  }

  uint32(): number {
    const byte = this.buffer[this.position];
    if (byte !== undefined && byte < 0x80 && this.position < this.#end) {
      this.position += 1;
      return byte;
    }
    this.#varint();
    return this.#low;
  }

  int32(): number {
    return this.uint32() | 0;
  }

  bool(): boolean {
    this.#varint();
    return this.#low !== 0 || this.#high !== 0;
  }

  /** Exact up to 2^53, the nearest double beyond: enough to compare as too large. */
  uint64(): number {
    this.#varint();
    return this.#high * TWO_32 + this.#low;
  }

  /** Exact within ±2^53, the nearest double beyond. */
  int64(): number {
    this.#varint();
    return (this.#high | 0) * TWO_32 + this.#low;
  }

  uint64Big(): bigint {
    this.#varint();
    if (this.#high === 0) return BigInt(this.#low);
    return (BigInt(this.#high) << 32n) | BigInt(this.#low);
  }

  int64Big(): bigint {
    this.#varint();
    if (this.#high === 0) return BigInt(this.#low);
    return (BigInt(this.#high | 0) << 32n) | BigInt(this.#low);
  }

  #length(): number {
    const length = this.uint32();
    if (this.#high !== 0 && length >= 0x80) this.#refuseHigh();
    if (length > this.#end - this.position) throw new WireError('unexpected EOF');
    return length;
  }

  #refuseHigh(): void {
    if (this.#high !== 0) throw new WireError('unexpected EOF');
  }

  bytes(): Buffer {
    this.#high = 0;
    const length = this.#length();
    if (length === 0) return EMPTY;
    const start = this.position;
    this.position = start + length;
    return this.buffer.subarray(start, this.position);
  }

  /** Proto strings are UTF-8; anything else is refused as Go refuses it. */
  string(): string {
    const bytes = this.bytes();
    const text = bytes.toString('utf8');
    if (text.includes('\ufffd') && !Buffer.from(text, 'utf8').equals(bytes)) {
      throw new WireError('string field contains invalid UTF-8');
    }
    return text;
  }

  /** Enters a nested message; the result is its end. */
  nested(): number {
    this.#high = 0;
    const length = this.#length();
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw new WireError('exceeded maximum recursion depth');
    return this.position + length;
  }

  leave(): void {
    this.#depth -= 1;
  }

  /** End of a packed list. */
  packed(): number {
    this.#high = 0;
    return this.#length() + this.position;
  }

  tag(): number {
    const tag = this.uint32();
    if (tag >>> 3 === 0) throw new WireError('invalid field number');
    return tag;
  }

  /** Passes over an unknown field. */
  skip(tag: number): void {
    switch (tag & 7) {
      case 0:
        this.#varint();
        return;
      case 1:
        this.#advance(8);
        return;
      case 2:
        this.#high = 0;
        this.#advance(this.#length());
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
    if (this.#depth > MAX_DEPTH) throw new WireError('exceeded maximum recursion depth');
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
    if (count > this.#end - this.position) throw new WireError('unexpected EOF');
    this.position += count;
  }

  /** A message's fields must end where it ends. */
  finish(end: number): void {
    if (this.position !== end) throw new WireError('unexpected EOF');
  }
}
