import { SlicedSort } from '../lib/sliced-sort.ts';
import type { Steps } from '../lib/steps.ts';
import type { IndexMeta } from './index-meta.ts';
import { type KeyCursor, OverlaidKeys } from './key-cursor.ts';
import { inRange, type KeyRange, keyString } from './key-range.ts';

/** Keys looked at or moved in one step. */
const KEYS_PER_STEP = 1024;

/** A key changed since the last commit. */
export interface PendingKey {
  readonly key: Buffer;
  /** Undefined for a deleted key. */
  readonly meta: IndexMeta | undefined;
  /** Whether the engine's `latest` has the key. */
  readonly stored: boolean;
}

/** Changes of a range that are not in `latest`. */
export interface Overlay {
  readonly over: (keys: KeyCursor) => KeyCursor;
  /** Net number of keys that they add. */
  readonly delta: number;
}

/** Undefined if none of the keys is in the range. */
export function overlayOf(pending: ReadonlyMap<string, PendingKey>, range: KeyRange): Overlay | undefined {
  const overlay: PendingKey[] = [];
  for (const key of pending.values()) if (inRange(range, key.key)) overlay.push(key);
  if (overlay.length === 0) return undefined;
  overlay.sort((a, b) => Buffer.compare(a.key, b.key));
  let delta = 0;
  for (const key of overlay) delta += keyDelta(key);
  return { over: (keys) => new OverlaidKeys(keys, overlay), delta };
}

/** What a change adds to the number of keys in `latest`: 1, 0 or -1. */
function keyDelta({ meta, stored }: PendingKey): number {
  return (meta === undefined ? 0 : 1) - (stored ? 1 : 0);
}

/**
 * The keys of a change that is too large for one turn, in order, and the number of them that are in `latest` already.
 * Reads merge the others with `latest`.
 */
export class UnsettledKeys {
  readonly #names: readonly string[];
  readonly #keys: readonly PendingKey[];
  /** The sum of the deltas before each position. */
  readonly #sums: Int32Array;
  #settled = 0;

  private constructor(names: readonly string[], keys: readonly PendingKey[], sums: Int32Array) {
    this.#names = names;
    this.#keys = keys;
    this.#sums = sums;
  }

  /** @param pending does not change any more */
  static *of(pending: ReadonlyMap<string, PendingKey>): Steps<UnsettledKeys> {
    let names: string[] = [];
    let isSorted = true;
    for (const name of pending.keys()) {
      // A delete finds keys in this order.
      if (isSorted && names.length > 0) isSorted = byBytes(names[names.length - 1] ?? '', name) < 0;
      names.push(name);
      if (names.length % KEYS_PER_STEP === 0) yield;
    }
    if (!isSorted) {
      const sort = new SlicedSort(names, byBytes);
      while (!sort.step(KEYS_PER_STEP)) yield;
      names = sort.result;
    }
    const keys: PendingKey[] = [];
    const sums = new Int32Array(names.length + 1);
    let sum = 0;
    for (const name of names) {
      const key = pending.get(name) as PendingKey;
      keys.push(key);
      sums[keys.length] = sum += keyDelta(key);
      if (keys.length % KEYS_PER_STEP === 0) yield;
    }
    return new UnsettledKeys(names, keys, sums);
  }

  /** Undefined if the range has none of the keys that are not in `latest` yet. */
  overlayOf(range: KeyRange): Overlay | undefined {
    const from = Math.max(this.#settled, this.#placeOf(keyString(range.start)));
    const to = range.end === undefined ? this.#keys.length : this.#placeOf(keyString(range.end));
    if (from >= to) return undefined;
    return {
      over: (keys) => new OverlaidKeys(keys, this.#keys, from, to),
      delta: (this.#sums[to] ?? 0) - (this.#sums[from] ?? 0),
    };
  }

  /** The next keys to put into `latest`. They count as settled when `latest` is written. */
  next(count: number): { names: readonly string[]; keys: readonly PendingKey[] } {
    const to = this.#settled + count;
    return { names: this.#names.slice(this.#settled, to), keys: this.#keys.slice(this.#settled, to) };
  }

  settled(count: number): void {
    this.#settled += count;
  }

  #placeOf(name: string): number {
    let low = 0;
    let high = this.#names.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#names[middle] ?? '') < name) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Names are bytes as latin1 and compare like their bytes. */
function byBytes(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
