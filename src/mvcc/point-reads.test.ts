import { describe, expect, it } from 'vitest';
import type { Column } from '../ports/engine.ts';
import { MemoryEngine } from '../storage/memory-engine.ts';
import { KeyValue } from '../wire/gen/mvccpb.ts';
import { PointReads } from './point-reads.ts';
import { commit } from './testing/store-model.ts';
import { MvccStore } from './store.ts';

const MAX_BYTES = 100;

/** A store whose owner may write it during a read. */
class Shared {
  readonly engine = new MemoryEngine();
  readonly store = new MvccStore(this.engine);
  sequence = 0;
  readonly #reads = new PointReads(this);
  /** Called before each look-up. */
  onRead: (column: Column) => void = () => undefined;

  put(key: string, value: string): void {
    const txn = this.store.begin();
    txn.put(Buffer.from(key), Buffer.from(value), 0n);
    txn.end();
    this.commit();
  }

  delete(key: string): void {
    const txn = this.store.begin();
    txn.deleteRange({ start: Buffer.from(key), end: undefined, single: true });
    txn.end();
    this.commit();
  }

  commit(): void {
    commit(this.engine, this.store);
    this.sequence += 1;
  }

  getMany(column: Column, keys: readonly Uint8Array[]): (Buffer | undefined)[] {
    this.onRead(column);
    return this.engine.getMany(column, keys);
  }

  read(...keys: string[]): unknown {
    const found = this.#reads.read(
      keys.map((key) => Buffer.from(key)),
      MAX_BYTES,
    );
    if (found === undefined) return undefined;
    const values = found.keyValues.map((kv) =>
      Buffer.isBuffer(kv) ? KeyValue.decode(kv).value.toString() : kv,
    );
    return { revision: found.revision, values };
  }
}

describe('keys read beside the store', () => {
  it('have their current values at the revision of the store', () => {
    const shared = new Shared();
    shared.put('a', '1');
    shared.put('b', '2');
    shared.put('a', '3');
    shared.delete('b');
    expect(shared.read('a', 'b', 'c')).toEqual({ revision: 5, values: ['3', undefined, undefined] });
  });

  it('have the revision of each later write', () => {
    const shared = new Shared();
    for (const value of ['1', '2', '3']) {
      shared.put('a', value);
      const found = { revision: Number(value) + 1, values: [value] };
      expect([shared.read('a'), shared.read('a')]).toEqual([found, found]);
    }
  });

  it('are not read from a store without a commit', () => {
    expect(new Shared().read('a')).toBeUndefined();
  });

  it('are not read while a committed change is not complete', () => {
    const shared = new Shared();
    shared.put('a', '1');
    const batch = shared.engine.batch();
    shared.store.meta.stageUnsettled(batch, 2);
    shared.engine.write(batch);
    shared.sequence += 1;
    expect(shared.read('a')).toBeUndefined();
  });

  it('are read again when the store is written between revision and keys', () => {
    const shared = new Shared();
    shared.put('a', '1');
    let writes = 0;
    shared.onRead = (column) => {
      if (column === 'latest' && writes++ < 2) shared.put('a', `${writes + 1}`);
    };
    expect(shared.read('a')).toEqual({ revision: 4, values: ['3'] });
  });

  it('are left to the owner of a store that is written all the time', () => {
    const shared = new Shared();
    shared.put('a', '1');
    shared.onRead = () => shared.put('a', '2');
    expect(shared.read('a')).toBeUndefined();
  });

  it('are read again when a compaction has removed a value that was found', () => {
    const shared = new Shared();
    shared.put('a', '1');
    let isCompacted = false;
    shared.onRead = (column) => {
      if (column !== 'event' || isCompacted) return;
      isCompacted = true;
      const [row] = shared.engine.iterate('event', { gte: Buffer.alloc(0) }).next(1);
      shared.put('a', '2');
      const batch = shared.engine.batch();
      batch.del('event', row as Buffer);
      shared.engine.write(batch);
    };
    expect(shared.read('a')).toEqual({ revision: 3, values: ['2'] });
  });

  it('are not read if they are too large', () => {
    const shared = new Shared();
    shared.put('large', 'v'.repeat(MAX_BYTES));
    shared.put('small', '1');
    expect(shared.read('large', 'small')).toEqual({ revision: 3, values: ['large', '1'] });
  });
});
