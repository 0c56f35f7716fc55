import { ShardedMap } from '../lib/sharded-map.ts';
import type { IndexMeta } from './index-meta.ts';

/** Estimated heap bytes of an entry besides its key: map slot, string header, index entry. */
const ENTRY_OVERHEAD = 220;
/** Estimated heap bytes of a value besides its bytes: the buffer object and its memory. */
const VALUE_OVERHEAD = 240;
/** A larger value is not cached: reading it again costs little compared with sending it. */
const MAX_VALUE_BYTES = 64 * 1024;

/**
 * A cache of index entries of recently used keys, by key as a latin1 string, with the KeyValues of keys that were read
 * one by one.
 *
 * It has two generations. A hit moves an entry to the young one. When that is full, the old one is dropped. So a hit
 * costs only a map operation, and the limit is in bytes instead of keys. A value is attached to a cached entry only by
 * `keepValue`, which counts its bytes.
 */
export class MetaCache {
  readonly #generationBytes: number;
  #young = new ShardedMap<string, IndexMeta>(lastChars);
  #old = new ShardedMap<string, IndexMeta>(lastChars);
  #youngBytes = 0;
  #holdsAll: boolean;

  /**
   * @param bytes limit of both generations together
   * @param isEmpty the store has no live key
   */
  constructor(bytes: number, isEmpty: boolean) {
    this.#generationBytes = bytes / 2;
    this.#holdsAll = isEmpty;
  }

  /**
   * Whether all live keys are here. Then a key that is not here does not exist, and the engine need not be asked. So it
   * is in a store that was empty when it was opened, until it has more keys than the cache has room for.
   */
  get holdsAll(): boolean {
    return this.#holdsAll;
  }

  get(key: string): IndexMeta | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: string, meta: IndexMeta): void {
    const before = this.#young.get(key);
    this.#young.set(key, meta);
    // Overwriting the same key repeatedly must not evict the others.
    if (before === undefined) this.#grow(key.length + ENTRY_OVERHEAD + valueBytes(meta));
    else if (before !== meta) this.#grow(valueBytes(meta) - valueBytes(before));
  }

  /** Attaches a copy of the KeyValue to the index entry, if that is the cached one. */
  keepValue(key: string, meta: IndexMeta, kv: Buffer): void {
    if (kv.length > MAX_VALUE_BYTES || meta.kv !== undefined || this.#young.get(key) !== meta) return;
    // A buffer of its own, since the memory that `kv` is a view of may be much larger.
    const own = Buffer.allocUnsafeSlow(kv.length);
    own.set(kv);
    meta.kv = own;
    this.#grow(valueBytes(meta));
  }

  /** The key is not live any more. */
  delete(key: string): void {
    const before = this.#young.get(key);
    if (before !== undefined) {
      this.#young.delete(key);
      this.#grow(-(key.length + ENTRY_OVERHEAD + valueBytes(before)));
    }
    this.#old.delete(key);
  }

  /** What is here of the key is old. */
  forget(key: string): void {
    this.#holdsAll = false;
    this.delete(key);
  }

  /** @param isEmpty the store has no live key now */
  clear(isEmpty: boolean): void {
    this.#young.clear();
    this.#old.clear();
    this.#youngBytes = 0;
    this.#holdsAll = isEmpty;
  }

  #grow(bytes: number): void {
    this.#youngBytes += bytes;
    if (this.#youngBytes <= this.#generationBytes) return;
    if (this.#old.size > 0) this.#holdsAll = false;
    this.#old = this.#young;
    this.#young = new ShardedMap(lastChars);
    this.#youngBytes = 0;
  }
}

function valueBytes({ kv }: IndexMeta): number {
  return kv === undefined ? 0 : kv.length + VALUE_OVERHEAD;
}

/** The ends of keys differ most. */
function lastChars(key: string): number {
  const { length } = key;
  return length < 2 ? length : key.charCodeAt(length - 1) + 7 * key.charCodeAt(length - 2);
}
