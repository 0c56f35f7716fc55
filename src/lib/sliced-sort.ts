/** Runs of this length are sorted at once. Longer lists are made by merging runs. */
const RUN_ITEMS = 512;

/**
 * A stable merge sort that can be split over turns of the event loop. First runs are sorted, then neighbours are
 * merged, pass by pass.
 */
export class SlicedSort<Item> {
  readonly #compare: (a: Item, b: Item) => number;
  #items: Item[];
  #merged: Item[] = [];
  /** Length of the sorted runs; 0 while the first runs are being sorted. */
  #run = 0;
  #at = 0;
  /** The positions in the two runs that are being merged. */
  #left = 0;
  #right = 0;

  /** @param items sorted in place or left unused; the caller must use `result` */
  constructor(items: Item[], compare: (a: Item, b: Item) => number) {
    this.#items = items;
    this.#compare = compare;
  }

  /** Moves about `count` items. @returns whether all are sorted */
  step(count: number): boolean {
    const until = this.#at + count;
    if (this.#run === 0) {
      this.#sortRuns(until);
      return false;
    }
    if (this.#run >= this.#items.length) return true;
    while (this.#at < this.#items.length && this.#at < until) this.#merge(until);
    if (this.#at >= this.#items.length) this.#nextPass();
    return this.#run >= this.#items.length;
  }

  get result(): Item[] {
    return this.#items;
  }

  #sortRuns(until: number): void {
    const items = this.#items;
    while (this.#at < items.length && this.#at < until) {
      const run = items.slice(this.#at, this.#at + RUN_ITEMS).sort(this.#compare);
      for (const item of run) items[this.#at++] = item;
    }
    if (this.#at < items.length) return;
    this.#run = RUN_ITEMS;
    this.#begin();
  }

  #nextPass(): void {
    this.#items = this.#merged;
    this.#run *= 2;
    this.#begin();
  }

  #begin(): void {
    this.#merged = [];
    this.#at = 0;
    this.#left = 0;
    this.#right = Math.min(this.#run, this.#items.length);
  }

  /** Merges the current two runs, or the part of them that goes before `until`. */
  #merge(until: number): void {
    const items = this.#items;
    const start = Math.floor(this.#at / (2 * this.#run)) * 2 * this.#run;
    const middle = Math.min(start + this.#run, items.length);
    const end = Math.min(middle + this.#run, items.length);
    while (this.#at < end && this.#at < until) {
      const isLeft =
        this.#left < middle &&
        (this.#right >= end || this.#compare(items[this.#left] as Item, items[this.#right] as Item) <= 0);
      this.#merged.push(items[isLeft ? this.#left++ : this.#right++] as Item);
      this.#at += 1;
    }
    if (this.#at < end) return;
    this.#left = end;
    this.#right = Math.min(end + this.#run, items.length);
  }
}
