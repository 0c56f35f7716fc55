import type { StoreHash } from '../mvcc/hash.ts';

/** etcd keeps the same number. */
const KEPT = 10;

/**
 * The hashes of the last compactions. Each covers the history from the previous compaction to this one and is computed
 * before the compaction removes anything. Members compare them (`CompactHashCheck`), and HashKV returns them for these
 * revisions.
 */
export class CompactionHashes {
  #hashes: StoreHash[] = [];

  get(revision: number): StoreHash | undefined {
    return this.#hashes.find((each) => each.revision === revision);
  }

  /** Sorted by revision. */
  all(): readonly StoreHash[] {
    return this.#hashes;
  }

  add(hash: StoreHash): void {
    this.#hashes = [...this.#hashes, hash].sort((a, b) => a.revision - b.revision).slice(-KEPT);
  }
}
