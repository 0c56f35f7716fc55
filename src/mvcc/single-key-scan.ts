import { fieldHead } from '../wire/splice.ts';
import type { IndexMeta } from './index-meta.ts';
import { noKeys, oneKey } from './key-cursor.ts';
import type { RangeOptions } from './range-options.ts';
import { RangeScan } from './range-scan.ts';
import { KVS } from './value-cache.ts';

/**
 * The scan of a range that is one key.
 *
 * @param meta its index entry; undefined if there is no such key
 * @param readValue reads its encoded KeyValue
 */
export function singleKeyScan(
  options: RangeOptions,
  meta: IndexMeta | undefined,
  readValue: (meta: IndexMeta) => Buffer,
): RangeScan {
  const values = (metas: readonly IndexMeta[]): Buffer[] => metas.map(readValue);
  const fields = (metas: readonly IndexMeta[]): Buffer[] =>
    values(metas).flatMap((kv) => [fieldHead(KVS, kv.length), kv]);
  const reads = { values, fields };
  if (meta === undefined) return new RangeScan(options, noKeys, reads, 0);
  return new RangeScan(options, oneKey(options.range.start, meta), reads, 1);
}
