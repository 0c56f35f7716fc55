import { expect, it } from 'vitest';
import type { Engine } from '../ports/engine.ts';
import { MemoryEngine } from '../storage/memory-engine.ts';
import { IndexMeta } from './index-meta.ts';
import { KeyChanges } from './key-changes.ts';
import { everything, keyRange } from './key-range.ts';
import { MetaCache } from './meta-cache.ts';
import type { RangeOptions } from './range-options.ts';
import { MvccStore } from './store.ts';
import { allKeys } from './testing/range-options.ts';
import { heldBytes } from './testing/held-bytes.ts';

const MIB = 2 ** 20;

const meta = (mod: number): IndexMeta =>
  new IndexMeta({ mod, sub: 0, create: mod, version: 1, lease: 0n, size: 0, kv: undefined });

it.each([10, 300, 5_000, 60_000])('the cache is bounded with values of %d bytes as without', (valueBytes) => {
  const cache = new MetaCache(16 * MIB, false);
  const before = heldBytes();
  const pool = Buffer.alloc(8 * valueBytes);
  for (let n = 0; n < 100_000; n += 1) {
    const key = Buffer.from(`some/key/${n}`).toString('latin1');
    const known = meta(n);
    cache.set(key, known);
    cache.keepValue(key, known, pool.subarray(0, valueBytes));
  }
  const held = heldBytes() - before;
  expect(held).toBeLessThan(18 * MIB);
  expect(cache.get('some/key/99999')?.kv?.length).toBe(valueBytes);
  expect(cache.get('some/key/1')).toBeUndefined();
});

/** Reads every key once with a range, and once with a transaction that compares its value. */
it('values read one by one stay within the bound of the store', () => {
  const engine: Engine = new MemoryEngine();
  const store = new MvccStore(engine, { cacheBytes: 8 * MIB, keyChangeCapacity: 1, listCacheBytes: 0 });
  const keys = Array.from({ length: 3_000 }, (_, n) => Buffer.from(`key/${n}`));
  for (const key of keys) {
    const txn = store.begin();
    txn.put(key, Buffer.alloc(20_000, 'v'), 0n);
    txn.end();
    const batch = engine.batch();
    store.stage(batch);
    engine.write(batch);
    store.committed();
  }
  const before = heldBytes();
  for (const key of keys) {
    const options: RangeOptions = { ...allKeys, range: keyRange(key, Buffer.alloc(0)) };
    expect(store.range(options).readAll()[0]?.length).toBeGreaterThan(20_000);
    const known = store.get(key);
    expect(known === undefined ? 0 : store.readValue(known).length).toBeGreaterThan(20_000);
  }
  expect(heldBytes() - before).toBeLessThan(12 * MIB);
});

it('key changes keep only the keys in memory, not their KeyValues', () => {
  const before = heldBytes();
  const changes = new KeyChanges(32_768, 1);
  for (let n = 0; n < 65_000; n += 1) {
    const kv = Buffer.alloc(2_000, `${n}`);
    changes.add(n + 2, kv.subarray(0, 20), 1);
  }
  expect(heldBytes() - before).toBeLessThan(10 * MIB);
  expect(changes.since(65_001 - 30_000, everything)).toBe(30_000);
});

it('only a few changes of very long keys are kept, and older counts are unknown', () => {
  const before = heldBytes();
  const changes = new KeyChanges(32_768, 1);
  for (let n = 0; n < 2_000; n += 1) changes.add(n + 2, Buffer.alloc(100_000, n % 250), 1);
  expect(heldBytes() - before).toBeLessThan(20 * MIB);
  expect(changes.since(2_001 - 50, everything)).toBe(50);
  expect(changes.since(1_000, everything)).toBeUndefined();
  expect(changes.since(2_001 - 50, keyRange(Buffer.from([0]), Buffer.from([1])))).toBe(0);
});
