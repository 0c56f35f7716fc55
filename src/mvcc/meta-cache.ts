import type { IndexMeta } from './index-meta.ts';

/** Estimated heap bytes of an entry beyond its key: map slot, string head, meta. */
const ENTRY_OVERHEAD = 220;
/** Estimated heap bytes of a value beyond its bytes: the buffer and the memory it names. */
const VALUE_OVERHEAD = 240;
/** A larger value is not kept: making it anew costs little beside sending it. */
const MAX_VALUE_BYTES = 64 * 1024;

/**
 * Index metas of recently used keys, by key as a latin1 string, and the KeyValues of those that were read one by one.
 *
 * Two generations: hits move entries to the young one, and when that is full the old one is dropped. It costs no
 * bookkeeping per hit beyond a map operation, and bounds memory by bytes instead of by number of keys. A value hangs
 * on a cached meta through `keepValue` alone, which counts it.
 */
export class MetaCache {
  readonly #generationBytes: number;
  #young = new Map<string, IndexMeta>();
  #old = new Map<string, IndexMeta>();
  #youngBytes = 0;

  /** @param bytes bound of both generations together */
  constructor(bytes: number) {
    this.#generationBytes = bytes / 2;
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
    // Overwriting a hot key again and again must not push the others out.
    if (before === undefined) this.#grow(key.length + ENTRY_OVERHEAD + valueBytes(meta));
    else if (before !== meta) this.#grow(valueBytes(meta) - valueBytes(before));
  }

  /** Keeps a copy of the KeyValue with the meta, where that is the cached one. */
  keepValue(key: string, meta: IndexMeta, kv: Buffer): void {
    if (kv.length > MAX_VALUE_BYTES || meta.kv !== undefined || this.#young.get(key) !== meta) return;
    // Its own memory: what it was cut from, or shares a pool with, may be much larger.
    const own = Buffer.allocUnsafeSlow(kv.length);
    own.set(kv);
    meta.kv = own;
    this.#grow(valueBytes(meta));
  }

  delete(key: string): void {
    const before = this.#young.get(key);
    if (before !== undefined) {
      this.#young.delete(key);
      this.#grow(-(key.length + ENTRY_OVERHEAD + valueBytes(before)));
    }
    this.#old.delete(key);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#youngBytes = 0;
  }

  #grow(bytes: number): void {
    this.#youngBytes += bytes;
    if (this.#youngBytes <= this.#generationBytes) return;
    this.#old = this.#young;
    this.#young = new Map();
    this.#youngBytes = 0;
  }
}

function valueBytes({ kv }: IndexMeta): number {
  return kv === undefined ? 0 : kv.length + VALUE_OVERHEAD;
}
