/**
 * Hand-written codec of `mvccpb.KeyValue`, the message that every put writes and every read sends. The bytes are
 * encoded once, exactly as by Go (fields in number order, zero fields omitted), stored, and then only copied.
 */
import { EMPTY } from './reader.ts';
import { bigVarintSize, varintSize, writeBigVarint, writeVarint } from './varint.ts';

const TAG_KEY = 0x0a;
const TAG_CREATE = 0x10;
const TAG_MOD = 0x18;
const TAG_VERSION = 0x20;
const TAG_VALUE = 0x2a;
const TAG_LEASE = 0x30;

export interface KeyValueFields {
  readonly key: Buffer;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
  readonly value: Buffer;
  readonly lease: bigint;
}

/** Returns the exact size of the encoded message in bytes. */
export function keyValueSize(kv: KeyValueFields): number {
  let size = 0;
  if (kv.key.length > 0) size += 1 + varintSize(kv.key.length) + kv.key.length;
  if (kv.createRevision > 0) size += 1 + varintSize(kv.createRevision);
  if (kv.modRevision > 0) size += 1 + varintSize(kv.modRevision);
  if (kv.version > 0) size += 1 + varintSize(kv.version);
  if (kv.value.length > 0) size += 1 + varintSize(kv.value.length) + kv.value.length;
  if (kv.lease !== 0n) size += 1 + bigVarintSize(kv.lease);
  return size;
}

/** Writes the message at `start`, where `keyValueSize` bytes must be free. Returns the position after it. */
export function writeKeyValue(target: Buffer, start: number, kv: KeyValueFields): number {
  let at = start;
  if (kv.key.length > 0) {
    target[at++] = TAG_KEY;
    at = writeVarint(target, at, kv.key.length);
    target.set(kv.key, at);
    at += kv.key.length;
  }
  if (kv.createRevision > 0) {
    target[at++] = TAG_CREATE;
    at = writeVarint(target, at, kv.createRevision);
  }
  if (kv.modRevision > 0) {
    target[at++] = TAG_MOD;
    at = writeVarint(target, at, kv.modRevision);
  }
  if (kv.version > 0) {
    target[at++] = TAG_VERSION;
    at = writeVarint(target, at, kv.version);
  }
  if (kv.value.length > 0) {
    target[at++] = TAG_VALUE;
    at = writeVarint(target, at, kv.value.length);
    target.set(kv.value, at);
    at += kv.value.length;
  }
  if (kv.lease !== 0n) {
    target[at++] = TAG_LEASE;
    at = writeBigVarint(target, at, kv.lease);
  }
  return at;
}

export function encodeKeyValue(kv: KeyValueFields): Buffer {
  const buffer = Buffer.allocUnsafe(keyValueSize(kv));
  writeKeyValue(buffer, 0, kv);
  return buffer;
}

/**
 * Reads single fields of an encoded `KeyValue` without building an object. It is only for bytes that this process wrote,
 * because it does not check them.
 */
export class KeyValueView {
  key: Buffer = EMPTY;
  createRevision = 0;
  modRevision = 0;
  version = 0;
  value: Buffer = EMPTY;
  lease = 0n;
  #at = 0;

  /** Reads `bytes`; key and value are views into it. */
  read(bytes: Buffer): this {
    this.key = EMPTY;
    this.createRevision = 0;
    this.modRevision = 0;
    this.version = 0;
    this.value = EMPTY;
    this.lease = 0n;
    this.#at = 0;
    while (this.#at < bytes.length) this.#field(bytes);
    return this;
  }

  /** Returns only the key, as a view into `bytes`. */
  readKey(bytes: Buffer): Buffer {
    if (bytes[0] !== TAG_KEY) return EMPTY;
    this.#at = 1;
    return this.#bytes(bytes);
  }

  #field(bytes: Buffer): void {
    const tag = bytes[this.#at++];
    switch (tag) {
      case TAG_KEY:
        this.key = this.#bytes(bytes);
        return;
      case TAG_CREATE:
        this.createRevision = this.#varint(bytes);
        return;
      case TAG_MOD:
        this.modRevision = this.#varint(bytes);
        return;
      case TAG_VERSION:
        this.version = this.#varint(bytes);
        return;
      case TAG_VALUE:
        this.value = this.#bytes(bytes);
        return;
      default:
        this.lease = this.#bigVarint(bytes);
    }
  }

  #bytes(bytes: Buffer): Buffer {
    const length = this.#varint(bytes);
    const start = this.#at;
    this.#at = start + length;
    return bytes.subarray(start, this.#at);
  }

  #varint(bytes: Buffer): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = bytes[this.#at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
  }

  #bigVarint(bytes: Buffer): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[this.#at++] ?? 0;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
  }
}
