import { assert } from '../lib/assert.ts';

/**
 * A revision: `main` counts the transactions that changed something, `sub` the changes within one. Rows are ordered by
 * both, so a scan reads changes in the order in which they were made.
 */
interface Revision {
  readonly main: number;
  readonly sub: number;
}

/** Bytes of an encoded revision: 8 for main, 4 for sub, both big-endian. */
export const REVISION_BYTES = 12;

const TWO_32 = 2 ** 32;

export function writeRevision(target: Buffer, at: number, main: number, sub: number): void {
  target.writeUInt32BE(Math.floor(main / TWO_32), at);
  target.writeUInt32BE(main % TWO_32, at + 4);
  target.writeUInt32BE(sub, at + 8);
}

export function encodeRevision(main: number, sub: number): Buffer {
  const buffer = Buffer.allocUnsafe(REVISION_BYTES);
  writeRevision(buffer, 0, main, sub);
  return buffer;
}

export function readMain(source: Buffer, at: number): number {
  return source.readUInt32BE(at) * TWO_32 + source.readUInt32BE(at + 4);
}

export function readSub(source: Buffer, at: number): number {
  return source.readUInt32BE(at + 8);
}

/** The revision an event row's key names. */
export function eventRevision(key: Buffer): Revision {
  assert(key.length === REVISION_BYTES, 'an event row is keyed by its revision');
  return { main: readMain(key, 0), sub: readSub(key, 0) };
}
