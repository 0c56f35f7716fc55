import { assert } from '../lib/assert.ts';

const TWO_32 = 2 ** 32;
const TWO_63 = 2 ** 63;
const TWO_64 = 2 ** 64;

/** For fewer bytes, a loop is faster than a native copy. */
const SHORT = 40;

/** Splits a bigint modulo 2^64 into its halves without intermediate bigints. */
const halves = new DataView(new ArrayBuffer(8));

/**
 * Writes protobuf's wire format into a buffer whose size was computed by the codec's `size`.
 *
 * Writes after the end would be lost silently. So {@link Writer.finish} asserts the size, which detects a codec whose
 * `size` and `write` do not match.
 */
export class Writer {
  readonly buffer: Buffer;
  position = 0;

  constructor(size: number) {
    this.buffer = Buffer.allocUnsafe(size);
  }

  /** Writes a varint of one byte: values and tags below 128. */
  byte(value: number): void {
    this.buffer[this.position++] = value;
  }

  uint32(value: number): void {
    const buffer = this.buffer;
    let position = this.position;
    let rest = value >>> 0;
    while (rest >= 0x80) {
      buffer[position++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    buffer[position++] = rest;
    this.position = position;
  }

  /** Negative values have ten bytes, because protobuf sign-extends them to 64 bits. */
  int32(value: number): void {
    if (value < 0) this.#halves(value >>> 0, 0xffff_ffff);
    else this.uint32(value);
  }

  bool(value: boolean): void {
    this.buffer[this.position++] = value ? 1 : 0;
  }

  /** Writes a non-negative integer. Values from 2^64 (the largest uint64 is read as 2^64) are written as the largest uint64. */
  uint64(value: number): void {
    if (value >>> 0 === value) this.uint32(value);
    else this.#large(value, 0, TWO_64);
  }

  /** Writes an integer. Values outside of int64 are written as its nearest bound. */
  int64(value: number): void {
    if (value >>> 0 === value) this.uint32(value);
    else this.#large(value, -TWO_63, TWO_63);
  }

  #large(value: number, least: number, limit: number): void {
    assert(Number.isInteger(value), 'a 64-bit field has an integer value');
    if (value >= limit) this.#halves(0xffff_ffff, limit === TWO_64 ? 0xffff_ffff : 0x7fff_ffff);
    else {
      const bounded = value < least ? least : value;
      const high = Math.floor(bounded / TWO_32);
      this.#halves((bounded - high * TWO_32) >>> 0, high >>> 0);
    }
  }

  /** Writes a bigint modulo 2^64, signed or unsigned. */
  uint64Big(value: bigint): void {
    halves.setBigUint64(0, value);
    const high = halves.getUint32(0);
    const low = halves.getUint32(4);
    if (high === 0) this.uint32(low);
    else this.#halves(low, high);
  }

  int64Big(value: bigint): void {
    this.uint64Big(value);
  }

  #halves(low: number, high: number): void {
    const buffer = this.buffer;
    let position = this.position;
    let lowRest = low;
    let highRest = high;
    while (highRest !== 0 || lowRest >= 0x80) {
      buffer[position++] = (lowRest & 0x7f) | 0x80;
      lowRest = ((lowRest >>> 7) | (highRest << 25)) >>> 0;
      highRest >>>= 7;
    }
    buffer[position++] = lowRest;
    this.position = position;
  }

  bytes(value: Uint8Array): void {
    this.uint32(value.length);
    this.raw(value);
  }

  /** Writes bytes without a length. */
  raw(value: Uint8Array): void {
    const { buffer, position } = this;
    const { length } = value;
    if (length < SHORT) {
      for (let i = 0; i < length; i += 1) buffer[position + i] = value[i] ?? 0;
    } else {
      assert(position + length <= buffer.length, 'a message is not longer than its computed size');
      buffer.set(value, position);
    }
    this.position = position + length;
  }

  string(value: string): void {
    const { buffer } = this;
    const size = utf8Size(value);
    this.uint32(size);
    const { position } = this;
    if (size === value.length && size < SHORT) {
      for (let i = 0; i < size; i += 1) buffer[position + i] = value.charCodeAt(i);
    } else buffer.write(value, position, size, 'utf8');
    this.position = position + size;
  }

  /** Returns the buffer. Asserts that it is full. */
  finish(): Buffer {
    assert(this.position === this.buffer.length, 'a message is as long as its computed size');
    return this.buffer;
  }
}

/** Returns the size of a string in UTF-8. A lone surrogate is written as the replacement character. */
export function utf8Size(value: string): number {
  const { length } = value;
  if (length >= SHORT) return Buffer.byteLength(value, 'utf8');
  for (let i = 0; i < length; i += 1)
    if (value.charCodeAt(i) >= 0x80) return Buffer.byteLength(value, 'utf8');
  return length;
}
