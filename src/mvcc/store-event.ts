import type { IndexMeta } from './index-meta.ts';

/** One change of one key. */
export interface StoreEvent {
  readonly main: number;
  readonly sub: number;
  readonly isDelete: boolean;
  readonly isCreate: boolean;
  readonly key: Buffer;
  /** The encoded KeyValue. For a delete it has only the key and the modification revision. */
  readonly kv: Buffer;
  /** The row of the column `event`, which ends with `kv`. */
  readonly row: Buffer;
  /** The index entry that the change superseded; undefined if the change created the key. */
  readonly previous: IndexMeta | undefined;
}
