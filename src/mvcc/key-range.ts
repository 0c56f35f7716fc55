import { EMPTY } from '../wire/reader.ts';

/** A single key, or all keys from `start` up to, not including, `end`. */
export interface KeyRange {
  readonly start: Buffer;
  /** Exclusive; undefined for no upper bound. Not used for a single key. */
  readonly end: Buffer | undefined;
  readonly single: boolean;
}

/**
 * A request's key and range_end as etcd reads them: without an end it is the single key; an end of one zero byte means
 * no upper bound.
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

/** A byte string as a key of a Map. latin1 keeps the bytes and their order. */
export function keyString(key: Buffer): string {
  return key.toString('latin1');
}

/** The range contains no key, since its end is not after its start. */
export function isEmptyRange(range: KeyRange): boolean {
  return range.end !== undefined && Buffer.compare(range.end, range.start) <= 0;
}
