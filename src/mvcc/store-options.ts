/** What an `MvccStore` may keep in memory. */
export interface StoreOptions {
  /** Bytes for index metas and values of recently used keys. */
  readonly cacheBytes: number;
  /** Creations and deletions kept in memory for counts at past revisions. */
  readonly keyChangeCapacity: number;
  /** Bytes for values that lists have read. */
  readonly listCacheBytes: number;
}

export const defaultStoreOptions: StoreOptions = {
  cacheBytes: 160 * 2 ** 20,
  keyChangeCapacity: 32_768,
  listCacheBytes: 128 * 2 ** 20,
};
