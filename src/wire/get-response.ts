import { fieldHead } from './splice.ts';

/** The field `kvs` of a RangeResponse. */
const KVS = 2;
/** Its field `count` with the value 1. */
const COUNT_ONE = Buffer.from([0x20, 0x01]);
/** The heads of fields up to this length are kept: most objects are shorter. */
const KEPT_HEADS = 2048;

const heads: (Buffer | undefined)[] = [];

/** A RangeResponse with one key, in parts that must not be changed. @param header its encoded header field */
export function getResponse(header: Buffer, keyValue: Buffer): Buffer[] {
  return [header, headOf(keyValue.length), keyValue, COUNT_ONE];
}

function headOf(length: number): Buffer {
  if (length >= KEPT_HEADS) return fieldHead(KVS, length);
  while (heads.length <= length) heads.push(undefined);
  return (heads[length] ??= fieldHead(KVS, length));
}
