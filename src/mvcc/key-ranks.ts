/**
 * The number of keys before some keys, kept exact by each create and delete. The same few ranges are listed and counted
 * again and again, mostly those of a prefix. Their ends lie within a block of `KeyCounts`, whose keys would have to be
 * read each time, and between them are many blocks to add up.
 *
 * When it is full, the key that was not asked for longest makes room.
 */
export class KeyRanks {
  readonly #capacity: number;
  /** Ascending; one char per byte, as all keys of `KeyCounts`. */
  readonly #keys: string[] = [];
  readonly #ranks: number[] = [];
  /** When each was asked for last. */
  readonly #used: number[] = [];
  #time = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** The number of live keys before `key`, if it is known. */
  get(key: string): number | undefined {
    const place = this.#firstFrom(key);
    if (this.#keys[place] !== key) return undefined;
    this.#used[place] = ++this.#time;
    return this.#ranks[place];
  }

  /** @param key one that is not known */
  add(key: string, rank: number): void {
    if (this.#keys.length === this.#capacity) this.#remove(this.#oldest());
    const place = this.#firstFrom(key);
    this.#keys.splice(place, 0, key);
    this.#ranks.splice(place, 0, rank);
    this.#used.splice(place, 0, ++this.#time);
  }

  /** Records that `key` was created (1) or deleted (-1). */
  change(key: string, delta: 1 | -1): void {
    const length = this.#keys.length;
    let place = this.#firstFrom(key);
    if (this.#keys[place] === key) place += 1;
    for (; place < length; place += 1) this.#ranks[place] = (this.#ranks[place] ?? 0) + delta;
  }

  /** The place of the first known key that is `key` or after it. */
  #firstFrom(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#keys[middle] ?? '') < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #oldest(): number {
    let oldest = 0;
    for (let place = 1; place < this.#used.length; place += 1)
      if ((this.#used[place] ?? 0) < (this.#used[oldest] ?? 0)) oldest = place;
    return oldest;
  }

  #remove(place: number): void {
    this.#keys.splice(place, 1);
    this.#ranks.splice(place, 1);
    this.#used.splice(place, 1);
  }
}
