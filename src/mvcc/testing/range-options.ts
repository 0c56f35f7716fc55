import { everything } from '../key-range.ts';
import type { RangeOptions } from '../range-options.ts';

/** A range over all keys at the current revision, without limits, filters or an order. */
export const allKeys: RangeOptions = {
  range: everything,
  revision: 0,
  limit: 0,
  keysOnly: false,
  countOnly: false,
  sortOrder: 0,
  sortTarget: 0,
  minModRevision: 0,
  maxModRevision: 0,
  minCreateRevision: 0,
  maxCreateRevision: 0,
};
