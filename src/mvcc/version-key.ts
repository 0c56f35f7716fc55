import type { ScratchBuffers } from './scratch-buffers.ts';
import { REVISION_BYTES, writeRevision } from './revision.ts';

/**
 * Keys of the `version` column: the user key, escaped so that keys keep their order and none is a prefix of
 * another, then the revision. A zero byte becomes `00 ff`, and `00 01` ends the key.
 */
const ESCAPE = 0xff;
const TERMINATOR = 0x01;
const TERMINATOR_BYTES = 2;

function escape(key: Uint8Array): Buffer {
  let zeros = 0;
  for (const byte of key) if (byte === 0) zeros += 1;
  const escaped = Buffer.allocUnsafe(key.length + zeros);
  let at = 0;
  for (const byte of key) {
    escaped[at++] = byte;
    if (byte === 0) escaped[at++] = ESCAPE;
  }
  return escaped;
}

function escapeIfNeeded(key: Uint8Array): Uint8Array {
  return key.includes(0) ? escape(key) : key;
}

export function versionKey(key: Uint8Array, main: number, sub: number): Buffer {
  const escaped = escapeIfNeeded(key);
  const row = Buffer.allocUnsafe(escaped.length + TERMINATOR_BYTES + REVISION_BYTES);
  fill(row, escaped, main, sub);
  return row;
}

/** The same in a buffer of `scratch`, valid until the next buffer of this size is requested. */
export function versionKeyIn(scratch: ScratchBuffers, key: Uint8Array, main: number, sub: number): Buffer {
  const escaped = escapeIfNeeded(key);
  const row = scratch.ofSize(escaped.length + TERMINATOR_BYTES + REVISION_BYTES);
  fill(row, escaped, main, sub);
  return row;
}

function fill(row: Buffer, escaped: Uint8Array, main: number, sub: number): void {
  row.set(escaped, 0);
  row[escaped.length] = 0;
  row[escaped.length + 1] = TERMINATOR;
  writeRevision(row, escaped.length + TERMINATOR_BYTES, main, sub);
}

/** Lower bound of all rows of keys at or after `key`. */
export function versionBound(key: Uint8Array): Buffer {
  return Buffer.from(escapeIfNeeded(key));
}

/** Offset of the revision in the key of a row. */
export function versionRevisionOffset(row: Buffer): number {
  return row.length - REVISION_BYTES;
}

/** The user key of a row. */
export function versionUserKey(row: Buffer): Buffer {
  const escaped = row.subarray(0, row.length - REVISION_BYTES - TERMINATOR_BYTES);
  if (!escaped.includes(0)) return escaped;
  const key = Buffer.allocUnsafe(escaped.length);
  let at = 0;
  for (let from = 0; from < escaped.length; from += 1) {
    const byte = escaped[from] ?? 0;
    key[at++] = byte;
    if (byte === 0) from += 1;
  }
  return key.subarray(0, at);
}
