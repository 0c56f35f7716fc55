import { defined } from './assert.ts';

/** Shorter parts are sorted by insertion. */
const SHORT = 12;
/** From this length on the pivot is a median of medians, and a nearly sorted part is repaired in place. */
const LONG = 50;
const REPAIRS = 5;
/** Every comparison for the choice of the pivot found its pair in the wrong order. */
const ALL_SWAPPED = 12;
const MASK_64 = (1n << 64n) - 1n;

/**
 * Sorts in place. Equal items end up in the same order as after Go's `sort.Sort`, which is not their original order.
 * It is for lists that members written in Go sort too, where all members must agree on the order.
 *
 * Pattern-defeating quicksort (Peters, arXiv:2106.05123) with the thresholds of Go's standard library.
 *
 * @param isLess a strict weak order
 */
export function sortUnstably<T>(items: T[], isLess: (a: T, b: T) => boolean): void {
  new Sorter(items, isLess).sort(0, items.length, bitLength(items.length));
}

/** Parts of the list are [from, to). */
class Sorter<T> {
  readonly #items: T[];
  readonly #isLess: (a: T, b: T) => boolean;
  /** Pairs found in the wrong order during the choice of a pivot. */
  #swaps = 0;

  constructor(items: T[], isLess: (a: T, b: T) => boolean) {
    this.#items = items;
    this.#isLess = isLess;
  }

  /** @param badPivots how many bad pivots are allowed before heapsort is used */
  sort(from: number, to: number, badPivots: number): void {
    let isBalanced = true;
    let wasPartitioned = true;
    for (;;) {
      const length = to - from;
      if (length <= SHORT) {
        this.#insertAll(from, to);
        return;
      }
      if (badPivots === 0) {
        this.#heapSort(from, to);
        return;
      }
      if (!isBalanced) {
        this.#scatter(from, to);
        badPivots--;
      }
      let pivot = this.#choosePivot(from, to);
      let seemsSorted = this.#swaps === 0;
      if (this.#swaps === ALL_SWAPPED) {
        this.#reverse(from, to);
        pivot = to - 1 - (pivot - from);
        seemsSorted = true;
      }
      if (isBalanced && wasPartitioned && seemsSorted && this.#repair(from, to)) return;
      if (from > 0 && !this.#less(from - 1, pivot)) {
        // The item before is not less than the pivot, so the pivot is the smallest here: items equal to it are done.
        from = this.#partitionEqual(from, to, pivot);
        continue;
      }
      const parts = this.#partition(from, to, pivot);
      wasPartitioned = parts.wasPartitioned;
      const left = parts.at - from;
      const right = to - parts.at;
      isBalanced = Math.min(left, right) >= Math.floor(length / 8);
      if (left < right) {
        this.sort(from, parts.at, badPivots);
        from = parts.at + 1;
      } else {
        this.sort(parts.at + 1, to, badPivots);
        to = parts.at;
      }
    }
  }

  #item(at: number): T {
    return defined(this.#items[at], 'a sort stays within its list');
  }

  #less(a: number, b: number): boolean {
    return this.#isLess(this.#item(a), this.#item(b));
  }

  #swap(a: number, b: number): void {
    const held = this.#item(a);
    this.#items[a] = this.#item(b);
    this.#items[b] = held;
  }

  #insertAll(from: number, to: number): void {
    for (let next = from + 1; next < to; next++) this.#sinkTo(from, next);
  }

  /** Moves an item to the front until the item before it is not greater. */
  #sinkTo(front: number, at: number): void {
    for (; at > front && this.#less(at, at - 1); at--) this.#swap(at, at - 1);
  }

  #reverse(from: number, to: number): void {
    for (let last = to - 1; from < last; from++, last--) this.#swap(from, last);
  }

  /** @returns whether the part is sorted now: only a few items were out of place, and it is long enough for this */
  #repair(from: number, to: number): boolean {
    let at = from + 1;
    for (let repairs = 0; repairs < REPAIRS; repairs++) {
      while (at < to && !this.#less(at, at - 1)) at++;
      if (at === to) return true;
      if (to - from < LONG) return false;
      this.#swap(at, at - 1);
      // As in Go, the smaller one may move below the part, where no item is greater.
      if (at - from >= 2) this.#sinkTo(0, at - 1);
      if (to - at >= 2) for (let up = at + 1; up < to && this.#less(up, up - 1); up++) this.#swap(up, up - 1);
    }
    return false;
  }

  /** The position of the pivot. `#swaps` shows how sorted the part looked. */
  #choosePivot(from: number, to: number): number {
    const quarter = Math.floor((to - from) / 4);
    this.#swaps = 0;
    const [a, b, c] = [from + quarter, from + 2 * quarter, from + 3 * quarter];
    if (to - from < LONG) return this.#median(a, b, c);
    return this.#median(this.#medianAround(a), this.#medianAround(b), this.#medianAround(c));
  }

  #medianAround(at: number): number {
    return this.#median(at - 1, at, at + 1);
  }

  #median(a: number, b: number, c: number): number {
    [a, b] = this.#ordered(a, b);
    [b, c] = this.#ordered(b, c);
    [, b] = this.#ordered(a, b);
    return b;
  }

  #ordered(a: number, b: number): [number, number] {
    if (!this.#less(b, a)) return [a, b];
    this.#swaps++;
    return [b, a];
  }

  /** Moves items less than the pivot to its left, the rest to its right. */
  #partition(from: number, to: number, pivot: number): { at: number; wasPartitioned: boolean } {
    this.#swap(from, pivot);
    let low = from + 1;
    let high = to - 1;
    let wasPartitioned = true;
    for (;;) {
      while (low <= high && this.#less(low, from)) low++;
      while (low <= high && !this.#less(high, from)) high--;
      if (low > high) break;
      wasPartitioned = false;
      this.#swap(low, high);
      low++;
      high--;
    }
    this.#swap(high, from);
    return { at: high, wasPartitioned };
  }

  /** For a pivot that is the smallest: items equal to it first, then the greater ones. @returns the start of those */
  #partitionEqual(from: number, to: number, pivot: number): number {
    this.#swap(from, pivot);
    let low = from + 1;
    let high = to - 1;
    for (;;) {
      while (low <= high && !this.#less(from, low)) low++;
      while (low <= high && this.#less(from, high)) high--;
      if (low > high) return low;
      this.#swap(low, high);
      low++;
      high--;
    }
  }

  /** Breaks the pattern that made a pivot bad: swaps three items near the middle with others. */
  #scatter(from: number, to: number): void {
    const length = to - from;
    let state = BigInt(length);
    const mask = (1n << BigInt(bitLength(length))) - 1n;
    const middle = from + Math.floor(length / 4) * 2;
    for (let at = middle - 1; at <= middle + 1; at++) {
      // xorshift64 by Marsaglia, seeded with the length: the same at every sort.
      state ^= (state << 13n) & MASK_64;
      state ^= state >> 7n;
      state ^= (state << 17n) & MASK_64;
      const drawn = Number(state & mask);
      this.#swap(at, from + (drawn >= length ? drawn - length : drawn));
    }
  }

  #heapSort(from: number, to: number): void {
    const size = to - from;
    for (let root = (size - 1) >>> 1; root >= 0; root--) this.#siftDown(from, root, size);
    for (let last = size - 1; last >= 0; last--) {
      this.#swap(from, from + last);
      this.#siftDown(from, 0, last);
    }
  }

  #siftDown(from: number, root: number, size: number): void {
    for (;;) {
      let child = 2 * root + 1;
      if (child >= size) return;
      if (child + 1 < size && this.#less(from + child, from + child + 1)) child++;
      if (!this.#less(from + root, from + child)) return;
      this.#swap(from + root, from + child);
      root = child;
    }
  }
}

function bitLength(value: number): number {
  return 32 - Math.clz32(value);
}
