import { EMPTY } from '../wire/reader.ts';

/** A single key, or all keys from `start` up to, not including, `end`. */
export interface KeyRange {
  readonly start: Buffer;
  /** Exclusive; undefined for no upper bound. Not used for a single key. */
  readonly end: Buffer | undefined;
  readonly single: boolean;
}

/**
 * A request's key and range_end as etcd reads them: no end names the one key, an end of one zero byte means no
 * upper bound.
 */
export function keyRange(key: Buffer, rangeEnd: Buffer): KeyRange {
  if (rangeEnd.length === 0) return { start: key, end: undefined, single: true };
  if (rangeEnd.length === 1 && rangeEnd[0] === 0) return { start: key, end: undefined, single: false };
  return { start: key, end: rangeEnd, single: false };
}

export const everything: KeyRange = { start: EMPTY, end: undefined, single: false };

export function inRange(range: KeyRange, key: Buffer): boolean {
  if (range.single) return range.start.equals(key);
  if (Buffer.compare(key, range.start) < 0) return false;
  return range.end === undefined || Buffer.compare(key, range.end) < 0;
}

/** Map key of a byte string: latin1 keeps bytes and their order. */
export function keyString(key: Buffer): string {
  return key.toString('latin1');
}

/** The range ends before it begins. */
export function isEmptyRange(range: KeyRange): boolean {
  return range.end !== undefined && Buffer.compare(range.end, range.start) <= 0;
}
