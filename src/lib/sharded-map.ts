/** A power of two. */
const SHARDS = 64;

/**
 * A map for very many entries. A `Map` copies all its entries whenever it doubles, in one go: 500,000 take 30 ms. Here
 * each of many small maps grows by itself. The order of entries is not that of insertion.
 */
export class ShardedMap<Key, Value> {
  readonly #shardOf: (key: Key) => number;
  #shards: Map<Key, Value>[] = emptyShards();
  #size = 0;

  /** @param shardOf an integer of 32 bits for each key, whose low bits differ between keys */
  constructor(shardOf: (key: Key) => number) {
    this.#shardOf = shardOf;
  }

  get size(): number {
    return this.#size;
  }

  get(key: Key): Value | undefined {
    return this.#shard(key).get(key);
  }

  has(key: Key): boolean {
    return this.#shard(key).has(key);
  }

  set(key: Key, value: Value): void {
    const shard = this.#shard(key);
    const before = shard.size;
    shard.set(key, value);
    this.#size += shard.size - before;
  }

  delete(key: Key): boolean {
    const isDeleted = this.#shard(key).delete(key);
    if (isDeleted) this.#size -= 1;
    return isDeleted;
  }

  clear(): void {
    this.#shards = emptyShards();
    this.#size = 0;
  }

  /** As with a `Map`, entries may be added and deleted meanwhile. Those added may or may not be visited. */
  *values(): IterableIterator<Value> {
    for (const shard of this.#shards) yield* shard.values();
  }

  #shard(key: Key): Map<Key, Value> {
    return this.#shards[this.#shardOf(key) & (SHARDS - 1)] as Map<Key, Value>;
  }
}

function emptyShards<Key, Value>(): Map<Key, Value>[] {
  return Array.from({ length: SHARDS }, () => new Map<Key, Value>());
}
