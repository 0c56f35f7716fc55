import { describe, expect, it } from 'vitest';
import { MemoryEngine } from '../storage/memory-engine.ts';
import { KeyValue } from '../wire/gen/mvccpb.ts';
import { keyRange } from './key-range.ts';
import { MvccStore } from './store.ts';
import { commit, compareWithModel, options } from './testing/store-model.ts';

describe('keys of any length', () => {
  // Lengths at which the varint of the length gets one byte longer.
  it.each([1, 0x7f, 0x80, 0x3fff, 0x4000, 0x1f_ffff, 0x20_0000, 0x20_0001, 0x40_0000])(
    'are stored and found: %i bytes',
    (length) => {
      const engine = new MemoryEngine();
      const store = new MvccStore(engine);
      const key = Buffer.alloc(length, 'k');
      for (const value of ['1', '2']) {
        const txn = store.begin();
        txn.put(key, Buffer.from(value), 0n);
        txn.end();
        commit(engine, store);
      }
      const reopened = new MvccStore(engine);
      expect(reopened.get(key)?.version).toBe(2);
      const all = reopened.range(options('k', '\0'));
      const kvs = all.read(Infinity).map((bytes) => KeyValue.decode(bytes));
      expect(kvs.map((kv) => kv.key.equals(key) && kv.value.toString())).toEqual(['2']);
      const txn = reopened.begin();
      expect(txn.deleteRange(keyRange(Buffer.from('k'), Buffer.from('l')))).toHaveLength(1);
      txn.end();
      commit(engine, reopened);
      expect(new MvccStore(engine).get(key)).toBeUndefined();
    },
  );
});

it('the store against a simple model agrees in a short run', () => {
  compareWithModel(1, 30);
});
