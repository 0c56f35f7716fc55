import type { StoreHash } from '../mvcc/hash.ts';

/** As many as etcd keeps. */
const KEPT = 10;

/**
 * Hashes of the history between compactions, made as each of them removes it: from the revision of the one before to
 * its own. They are what members compare (`CompactHashCheck`), and what HashKV answers for those revisions.
 */
export class CompactionHashes {
  #hashes: StoreHash[] = [];

  get(revision: number): StoreHash | undefined {
    return this.#hashes.find((each) => each.revision === revision);
  }

  /** By ascending revision. */
  all(): readonly StoreHash[] {
    return this.#hashes;
  }

  add(hash: StoreHash): void {
    this.#hashes = [...this.#hashes, hash].sort((a, b) => a.revision - b.revision).slice(-KEPT);
  }
}
