import { assert } from '../lib/assert.ts';

const TWO_32 = 2 ** 32;
const TWO_63 = 2 ** 63;
const TWO_64 = 2 ** 64;

/** Below this, a loop beats the call into the engine's copy. */
const SHORT = 40;

/** Splits a bigint into its halves modulo 2^64 without intermediate bigints. */
const halves = new DataView(new ArrayBuffer(8));

/**
 * Writes protobuf's wire format into a buffer of exactly the size that the message's `size` gives.
 *
 * Writes past the end would be lost silently, so {@link Writer.finish} asserts that the size was met:
 * a codec whose `size` and `write` disagree never gets its bytes out.
 */
export class Writer {
  readonly buffer: Buffer;
  position = 0;

  constructor(size: number) {
    this.buffer = Buffer.allocUnsafe(size);
  }

  /** A varint of one byte: values and tags below 128. */
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

  /** Negative values take ten bytes, as protobuf sign-extends them to 64 bits. */
  int32(value: number): void {
    if (value < 0) this.#halves(value >>> 0, 0xffff_ffff);
    else this.uint32(value);
  }

  bool(value: boolean): void {
    this.buffer[this.position++] = value ? 1 : 0;
  }

  /** Integers from 0; 2^64 (what the largest uint64 reads as) and beyond write the largest uint64. */
  uint64(value: number): void {
    if (value >>> 0 === value) this.uint32(value);
    else this.#large(value, 0, TWO_64);
  }

  /** Integers; values beyond int64 write its nearest bound. */
  int64(value: number): void {
    if (value >>> 0 === value) this.uint32(value);
    else this.#large(value, -TWO_63, TWO_63);
  }

  #large(value: number, least: number, limit: number): void {
    assert(Number.isInteger(value), 'a 64-bit field holds an integer');
    if (value >= limit) this.#halves(0xffff_ffff, limit === TWO_64 ? 0xffff_ffff : 0x7fff_ffff);
    else {
      const bounded = value < least ? least : value;
      const high = Math.floor(bounded / TWO_32);
      this.#halves((bounded - high * TWO_32) >>> 0, high >>> 0);
    }
  }

  /** Any bigint, modulo 2^64: signed and unsigned share their bytes. */
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

  /** Bytes as they are, without a length. */
  raw(value: Uint8Array): void {
    const { buffer, position } = this;
    const { length } = value;
    if (length < SHORT) {
      for (let i = 0; i < length; i += 1) buffer[position + i] = value[i] ?? 0;
    } else {
      assert(position + length <= buffer.length, 'a message is no longer than its size');
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

  /** All that was written; asserts that it fills the buffer. */
  finish(): Buffer {
    assert(this.position === this.buffer.length, 'a message is as long as its size');
    return this.buffer;
  }
}

/** Bytes of a string in UTF-8; lone surrogates count as the replacement character that is written for them. */
export function utf8Size(value: string): number {
  const { length } = value;
  if (length >= SHORT) return Buffer.byteLength(value, 'utf8');
  for (let i = 0; i < length; i += 1)
    if (value.charCodeAt(i) >= 0x80) return Buffer.byteLength(value, 'utf8');
  return length;
}
