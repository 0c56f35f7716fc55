import { expect, it } from 'vitest';
import { IndexMeta } from './index-meta.ts';
import { MetaCache } from './meta-cache.ts';

const MIB = 2 ** 20;

const meta = (mod: number): IndexMeta =>
  new IndexMeta({ mod, sub: 0, create: mod, version: 1, lease: 0n, size: 0, kv: undefined });

it('writing and reading one key repeatedly evicts no other key', () => {
  const cache = new MetaCache(MIB, false);
  cache.set('other', meta(1));
  for (let n = 2; n < 2_000; n += 1) {
    const hot = meta(n);
    cache.set('hot', hot);
    cache.keepValue('hot', hot, Buffer.alloc(10_000));
  }
  expect(cache.get('other')).toBeDefined();
});
