interface Interval {
  readonly begin: Buffer;
  /** Exclusive; undefined means no end. */
  end: Buffer | undefined;
}

/**
 * A set of key intervals. It checks in O(log n) whether it contains a key or covers a range. After a change, the
 * first check merges and sorts the intervals.
 */
export class KeyIntervals {
  readonly #added: Interval[] = [];
  #merged: Interval[] | undefined;

  get size(): number {
    return this.#added.length;
  }

  /** Adds an interval. One whose end is not after its begin is empty and is ignored. `end` undefined means no end. */
  add(begin: Buffer, end: Buffer | undefined): void {
    if (end !== undefined && Buffer.compare(end, begin) <= 0) return;
    this.#added.push({ begin, end });
    this.#merged = undefined;
  }

  addKey(key: Buffer): void {
    this.add(key, Buffer.concat([key, ZERO]));
  }

  addAll(other: KeyIntervals): void {
    if (other.#added.length === 0) return;
    for (const interval of other.#added) this.#added.push(interval);
    this.#merged = undefined;
  }

  has(key: Buffer): boolean {
    const interval = this.#lastFrom(key);
    return interval !== undefined && isBefore(key, interval.end);
  }

  /**
   * Whether the set covers [begin, end). Touching intervals count as one; `end` undefined means no end. For a range
   * that ends before it begins, only its begin is checked.
   */
  covers(begin: Buffer, end: Buffer | undefined): boolean {
    const interval = this.#lastFrom(begin);
    if (interval === undefined || !isBefore(begin, interval.end)) return false;
    if (interval.end === undefined) return true;
    return end !== undefined && Buffer.compare(end, interval.end) <= 0;
  }

  /** The last merged interval that begins at or before the key. */
  #lastFrom(key: Buffer): Interval | undefined {
    const merged = (this.#merged ??= merge(this.#added));
    let low = 0;
    let high = merged.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const interval = merged[middle];
      if (interval !== undefined && Buffer.compare(interval.begin, key) <= 0) low = middle + 1;
      else high = middle;
    }
    return merged[low - 1];
  }
}

const ZERO = Buffer.alloc(1);

function isBefore(key: Buffer, end: Buffer | undefined): boolean {
  return end === undefined || Buffer.compare(key, end) < 0;
}

function merge(intervals: readonly Interval[]): Interval[] {
  const sorted = [...intervals].sort((a, b) => Buffer.compare(a.begin, b.begin));
  const merged: Interval[] = [];
  for (const { begin, end } of sorted) {
    const last = merged.at(-1);
    if (last === undefined || (last.end !== undefined && Buffer.compare(last.end, begin) < 0)) {
      merged.push({ begin, end });
    } else if (last.end !== undefined && (end === undefined || Buffer.compare(last.end, end) < 0)) {
      last.end = end;
    }
  }
  return merged;
}
