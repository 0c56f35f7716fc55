import type { IndexMeta } from './index-meta.ts';

/** Estimated heap bytes of an entry beyond its key and value: map slot, object, buffer wrapper. */
const ENTRY_OVERHEAD = 220;

/**
 * Index metas (with KeyValue bytes) of recently used keys, by key as a latin1 string.
 *
 * Two generations: hits move entries to the young one, and when that is full the old one is dropped. It costs no
 * bookkeeping per hit beyond a map operation, and bounds memory by bytes instead of by number of keys.
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
    const { size } = this.#young;
    this.#young.set(key, meta);
    // Overwriting a hot key again and again must not push the others out.
    if (this.#young.size === size) return;
    this.#youngBytes += key.length + ENTRY_OVERHEAD + (meta.kv?.length ?? 0);
    if (this.#youngBytes > this.#generationBytes) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
  }

  delete(key: string): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#youngBytes = 0;
  }
}
