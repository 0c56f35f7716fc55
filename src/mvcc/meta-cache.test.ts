import { expect, it } from 'vitest';
import { IndexMeta } from './index-meta.ts';
import { keyRange } from './key-range.ts';
import { MetaCache } from './meta-cache.ts';
import { MvccStore } from './store.ts';
import { CountingEngine } from './testing/counting-engine.ts';
import { commit } from './testing/store-model.ts';

const meta = (): IndexMeta =>
  new IndexMeta({ mod: 2, sub: 0, create: 2, version: 1, lease: 0n, size: 10, kv: undefined });

/** Counts the rows of `latest` that are asked for one by one, too. */
class LookUps extends CountingEngine {
  override get(...args: Parameters<CountingEngine['get']>): ReturnType<CountingEngine['get']> {
    if (args[0] === 'latest') this.rows += 1;
    return super.get(...args);
  }
}

function put(engine: CountingEngine, store: MvccStore, names: readonly string[]): void {
  store.prefetch(names.map((name) => Buffer.from(name)));
  const txn = store.begin();
  for (const name of names) txn.put(Buffer.from(name), Buffer.from('v'), 0n);
  txn.end();
  commit(engine, store);
}

it('holds all keys until it drops some', () => {
  const cache = new MetaCache(10_000, true);
  let dropped = 0;
  for (let at = 0; cache.holdsAll; at += 1) {
    cache.set(`key ${at}`, meta());
    dropped = at;
  }
  for (let at = 0; at <= dropped; at += 1) {
    if (cache.get(`key ${at}`) === undefined) return;
  }
  expect.unreachable('a key was dropped');
});

it('holds all keys of an empty store only', () => {
  const cache = new MetaCache(10_000, false);
  expect(cache.holdsAll).toBe(false);
  cache.clear(true);
  expect(cache.holdsAll).toBe(true);
  cache.set('a', meta());
  cache.delete('a');
  expect(cache.holdsAll).toBe(true);
  cache.forget('a');
  expect(cache.holdsAll).toBe(false);
});

it('the store asks the engine for no new key as long as it knows all keys', () => {
  const engine = new LookUps();
  const store = new MvccStore(engine);
  put(engine, store, ['a', 'b']);
  put(engine, store, ['b', 'c']);
  const txn = store.begin();
  txn.deleteRange(keyRange(Buffer.from('a'), Buffer.alloc(0)));
  txn.end();
  commit(engine, store);
  engine.rows = 0;
  expect(store.get(Buffer.from('a'))).toBeUndefined();
  expect(store.get(Buffer.from('b'))?.version).toBe(2);
  put(engine, store, ['a', 'd']);
  expect(store.get(Buffer.from('a'))?.version).toBe(1);
  expect(engine.rows).toBe(0);
});

it('a store that had keys when it was opened asks for them', () => {
  const engine = new LookUps();
  put(engine, new MvccStore(engine), ['a']);
  const store = new MvccStore(engine);
  engine.rows = 0;
  put(engine, store, ['a', 'b']);
  expect(engine.rows).toBeGreaterThan(0);
  expect(store.get(Buffer.from('a'))?.version).toBe(2);
  expect(store.get(Buffer.from('b'))?.version).toBe(1);
});

it('a store whose few keys do not fit into the cache finds them', () => {
  const engine = new LookUps();
  const store = new MvccStore(engine, { cacheBytes: 10_000 });
  const names = Array.from({ length: 300 }, (_, at) => `key ${at}`);
  for (const round of [1, 2])
    for (const name of names) {
      put(engine, store, [name]);
      expect(store.get(Buffer.from(name))?.version).toBe(round);
    }
});
