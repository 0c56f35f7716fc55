import { expect } from 'vitest';
import { fieldHead } from '../../wire/splice.ts';
import { IndexMeta } from '../index-meta.ts';
import { KVS, ValueCache } from '../value-cache.ts';

export const MIB = 2 ** 20;
/** The size of a store that bounds no cache. */
export const large = (): number => 2 ** 40;

export function metaOf(mod: number, size: number, sub = 0): IndexMeta {
  return new IndexMeta({ mod, sub, create: 1, version: 1, lease: 0n, size, kv: undefined });
}

/** A value that tells its revision. */
export function valueOf({ mod, sub, size }: IndexMeta): Buffer {
  return Buffer.alloc(size, `${mod}.${sub};`);
}

export function metas(from: number, count: number, size: number): IndexMeta[] {
  return Array.from({ length: count }, (_, at) => metaOf(from + at, size));
}

export function expected(of: readonly IndexMeta[]): Buffer {
  return Buffer.concat(of.flatMap((meta) => [fieldHead(KVS, meta.size), valueOf(meta)]));
}

/** Counts what is read of the store. */
export function store() {
  const read: number[] = [];
  const values = (missing: readonly IndexMeta[]): Buffer[] => {
    read.push(...missing.map(({ mod }) => mod));
    return missing.map(valueOf);
  };
  return { read, values };
}

/** Reads many values of this size. The cache must stay within its bound, and return the right bytes. */
export function readBeyondTheBound(size: number): void {
  const cache = new ValueCache(2 * MIB, large);
  const { values } = store();
  for (let from = 1; from < (20 * MIB) / size; from += 100) {
    const list = metas(from, 100, size);
    const kept = cache.read(list, values);
    expect(Buffer.concat(kept).equals(expected(list))).toBe(true);
    // What was handed out stays as it is, though it may have been dropped since.
    expect(cache.bytes).toBeLessThanOrEqual(2 * MIB + 120 * 3000);
  }
}
