/** Bounds that grow by a constant factor, as Prometheus' exponential buckets. */
export function exponentialBounds(first: number, factor: number, count: number): readonly number[] {
  const bounds: number[] = [];
  let bound = first;
  for (let i = 0; i < count; i++, bound *= factor) bounds.push(Number(bound.toPrecision(12)));
  return bounds;
}

/** Counts observations by fixed bounds. `observe` allocates nothing, because it is on hot paths. */
export class Histogram {
  readonly bounds: readonly number[];
  /** One count per bound and one for the values above all bounds. The counts are not cumulative. */
  readonly counts: Float64Array;
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  /** @param times how often the value was observed */
  observe(value: number, times = 1): void {
    const { bounds } = this;
    let at = 0;
    // Most observations fall into the first few buckets, so a linear search is the fastest.
    while (at < bounds.length && value > (bounds[at] ?? 0)) at++;
    this.counts[at] = (this.counts[at] ?? 0) + times;
    this.sum += value * times;
  }

  get count(): number {
    let total = 0;
    for (const count of this.counts) total += count;
    return total;
  }
}

/** A family of histograms by label values. Each is made when it is first needed. Callers keep the result. */
export class HistogramFamily {
  readonly labels: readonly string[];
  readonly #bounds: readonly number[];
  readonly #byKey = new Map<string, { readonly values: readonly string[]; readonly histogram: Histogram }>();

  constructor(labels: readonly string[], bounds: readonly number[]) {
    this.labels = labels;
    this.#bounds = bounds;
  }

  /** The histogram with these label values, in the order of `labels`. */
  with(...values: readonly string[]): Histogram {
    const key = values.join('\0');
    let entry = this.#byKey.get(key);
    if (entry === undefined) {
      entry = { values, histogram: new Histogram(this.#bounds) };
      this.#byKey.set(key, entry);
    }
    return entry.histogram;
  }

  *entries(): IterableIterator<readonly [readonly string[], Histogram]> {
    for (const { values, histogram } of this.#byKey.values()) yield [values, histogram];
  }
}

/** A family of counters by label values. */
export class CounterFamily {
  readonly labels: readonly string[];
  readonly #byKey = new Map<string, { readonly values: readonly string[]; count: number }>();

  constructor(labels: readonly string[]) {
    this.labels = labels;
  }

  add(values: readonly string[], amount = 1): void {
    this.#entry(values).count += amount;
  }

  set(values: readonly string[], count: number): void {
    this.#entry(values).count = count;
  }

  #entry(values: readonly string[]): { count: number } {
    const key = values.join('\0');
    let entry = this.#byKey.get(key);
    if (entry === undefined) {
      entry = { values, count: 0 };
      this.#byKey.set(key, entry);
    }
    return entry;
  }

  *entries(): IterableIterator<readonly [readonly string[], number]> {
    for (const { values, count } of this.#byKey.values()) yield [values, count];
  }
}
