import { bigVarintSize } from './varint.ts';
import { utf8Size } from './writer.ts';

/**
 * Encoded sizes of values in bytes, without tags, for the methods of {@link Writer}. The size of a number is found by
 * comparisons of doubles, without bigints.
 */

const TWO_35 = 2 ** 35;
const TWO_42 = 2 ** 42;
const TWO_49 = 2 ** 49;
const TWO_56 = 2 ** 56;
const TWO_63 = 2 ** 63;

export function uint32Size(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < 0x1000_0000 ? 4 : 5;
}

export function int32Size(value: number): number {
  return value < 0 ? 10 : uint32Size(value);
}

export function uint64Size(value: number): number {
  if (value < TWO_35) return uint32Size(value);
  if (value < TWO_42) return 6;
  if (value < TWO_49) return 7;
  if (value < TWO_56) return 8;
  return value < TWO_63 ? 9 : 10;
}

/** 2^63 represents the largest int64, which has nine bytes. */
export function int64Size(value: number): number {
  if (value < 0) return 10;
  return value < TWO_56 ? uint64Size(value) : 9;
}

export const uint64BigSize = bigVarintSize;

export const int64BigSize = bigVarintSize;

/** Includes the length prefix. */
export function bytesSize(value: Uint8Array): number {
  return uint32Size(value.length) + value.length;
}

/** Includes the length prefix. */
export function stringSize(value: string): number {
  const size = utf8Size(value);
  return uint32Size(size) + size;
}

/** Size of a nested message including the length prefix. */
export function nestedSize(size: number): number {
  return uint32Size(size) + size;
}
