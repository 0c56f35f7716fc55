import { expect, it } from 'vitest';
import { IndexMeta } from './index-meta.ts';
import { KeyChanges } from './key-changes.ts';
import { everything, keyRange } from './key-range.ts';
import { MetaCache } from './meta-cache.ts';
import { heldBytes } from './testing/held-bytes.ts';

const MIB = 2 ** 20;

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

const meta = (mod: number): IndexMeta =>
  new IndexMeta({ mod, sub: 0, create: mod, version: 1, lease: 0n, size: 0, kv: undefined });

it('writing and reading one key repeatedly evicts no other key', () => {
  const cache = new MetaCache(MIB);
  cache.set('other', meta(1));
  for (let n = 2; n < 2_000; n += 1) {
    const hot = meta(n);
    cache.set('hot', hot);
    cache.keepValue('hot', hot, Buffer.alloc(10_000));
  }
  expect(cache.get('other')).toBeDefined();
});
