import {
  RangeRequestSortOrder as SortOrder,
  RangeRequestSortTarget as SortTarget,
} from '../wire/gen/etcdserverpb.ts';
import type { IndexMeta } from './index-meta.ts';
import type { KeyRange } from './key-range.ts';

export interface RangeOptions {
  readonly range: KeyRange;
  /** 0 or less reads the current revision. */
  readonly revision: number;
  /** 0 means no limit. */
  readonly limit: number;
  readonly keysOnly: boolean;
  readonly countOnly: boolean;
  readonly sortOrder: number;
  readonly sortTarget: number;
  readonly minModRevision: number;
  readonly maxModRevision: number;
  readonly minCreateRevision: number;
  readonly maxCreateRevision: number;
}

/** What a scan returns besides the KeyValues. */
export interface ScanNeeds {
  /** The count includes the keys beyond the limit; true if not given. */
  readonly totalCount?: boolean;
}

/** Whether the scan itself needs the keys, and not only their index entries. */
export function usesKeys({ keysOnly, sortTarget, sortOrder }: RangeOptions): boolean {
  return keysOnly || (sortTarget === SortTarget.KEY && sortOrder === SortOrder.DESCEND);
}

export function isDefaultOrder(options: RangeOptions): boolean {
  return (
    options.sortOrder === SortOrder.NONE ||
    (options.sortTarget === SortTarget.KEY && options.sortOrder === SortOrder.ASCEND)
  );
}

export function hasFilters(options: RangeOptions): boolean {
  return (
    options.minModRevision !== 0 ||
    options.maxModRevision !== 0 ||
    options.minCreateRevision !== 0 ||
    options.maxCreateRevision !== 0
  );
}

/** The range asks for the current value of one key, and for nothing else. @param revision the current one */
export function isGet(options: RangeOptions, revision: number): boolean {
  const { range, keysOnly, countOnly } = options;
  if (!range.single || keysOnly || countOnly || hasFilters(options)) return false;
  return options.revision <= 0 || options.revision === revision;
}

export function passes(options: RangeOptions, meta: IndexMeta): boolean {
  if (options.maxModRevision !== 0 && meta.mod > options.maxModRevision) return false;
  if (options.minModRevision !== 0 && meta.mod < options.minModRevision) return false;
  if (options.maxCreateRevision !== 0 && meta.create > options.maxCreateRevision) return false;
  return options.minCreateRevision === 0 || meta.create >= options.minCreateRevision;
}
