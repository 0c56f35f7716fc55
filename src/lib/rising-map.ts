import { assert } from './assert.ts';

/** The entries are moved together when they fill less than half of the places in use, and more places than this. */
const LEAST_PLACES = 64;

/**
 * A map whose keys are added in rising order, for entries that come and go all the time. Entries are in that order.
 *
 * A `Map` to which entries are added and from which entries are deleted makes a new table again and again, and each old
 * table refers to its entries and to the next table. Once one of these tables is in V8's old generation, it keeps all
 * that follow alive until the next full collection, with all that they refer to. A third of the garbage of gets was
 * copied twice and grew old in this way. Here a deleted entry leaves nothing behind.
 */
export class RisingMap<Value> {
  #keys: number[] = [];
  /** Undefined for a deleted entry, and for places that are not in use. */
  #values: (Value | undefined)[] = [];
  /** The places in use: from the first entry to the newest key. */
  #from = 0;
  #to = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The first value, by key. */
  get first(): Value | undefined {
    return this.#values[this.#from];
  }

  get(key: number): Value | undefined {
    const place = this.#placeOf(key);
    return place < 0 ? undefined : this.#values[place];
  }

  /** @param key above all keys of entries that were added before */
  add(key: number, value: Value): void {
    const to = this.#to;
    assert(to === this.#from || (this.#keys[to - 1] as number) < key, 'keys are added in rising order');
    this.#keys[to] = key;
    this.#values[to] = value;
    this.#to = to + 1;
    this.#size++;
  }

  delete(key: number): boolean {
    const place = this.#placeOf(key);
    if (place < 0 || this.#values[place] === undefined) return false;
    this.#values[place] = undefined;
    this.#size--;
    if (this.#size === 0) this.#restart();
    else {
      while (this.#values[this.#from] === undefined) this.#from++;
      if (this.#to > LEAST_PLACES && this.#to > 2 * this.#size) this.#compact();
    }
    return true;
  }

  clear(): void {
    this.#values.fill(undefined);
    this.#size = 0;
    this.#restart();
  }

  /** All values, in order. */
  values(): Value[] {
    const values: Value[] = [];
    for (let place = this.#from; place < this.#to; place++) {
      const value = this.#values[place];
      if (value !== undefined) values.push(value);
    }
    return values;
  }

  /** The place of a key, or -1. */
  #placeOf(key: number): number {
    const keys = this.#keys;
    let from = this.#from;
    let last = this.#to - 1;
    if (from > last) return -1;
    // The newest entry is asked for most often.
    if ((keys[last] as number) <= key) return keys[last] === key ? last : -1;
    while (from < last) {
      const middle = (from + last) >>> 1;
      if ((keys[middle] as number) < key) from = middle + 1;
      else last = middle;
    }
    return keys[from] === key ? from : -1;
  }

  /** Moves the entries together. It moves at most one entry for each that was deleted since the last time. */
  #compact(): void {
    const [keys, values] = [this.#keys, this.#values];
    let next = 0;
    for (let place = this.#from; place < this.#to; place++) {
      const value = values[place];
      if (value === undefined) continue;
      values[place] = undefined;
      keys[next] = keys[place] as number;
      values[next] = value;
      next++;
    }
    this.#from = 0;
    this.#to = next;
    this.#shrink();
  }

  #restart(): void {
    this.#from = 0;
    this.#to = 0;
    this.#shrink();
  }

  /** Frees memory after many entries. The places are kept otherwise, because few entries come and go most often. */
  #shrink(): void {
    if (this.#values.length <= 4 * Math.max(this.#to, LEAST_PLACES)) return;
    this.#keys = this.#keys.slice(0, this.#to);
    this.#values = this.#values.slice(0, this.#to);
  }
}
