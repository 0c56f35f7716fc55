import { expect, it } from 'vitest';
import { MemoryEngine } from '../storage/memory-engine.ts';
import type { WriteBatch } from '../ports/engine.ts';
import { CompactionJob } from './compaction.ts';
import { HashJob, hashScope, type StoreHash } from './hash.ts';
import { MvccStore } from './store.ts';

it('finds nothing before a negative revision, as etcd', () => {
  const engine = new MemoryEngine();
  const store = new MvccStore(engine);
  const txn = store.begin();
  txn.put(Buffer.from('key'), Buffer.from('value'), 0n);
  txn.end();
  const batch = engine.batch();
  store.stage(batch);
  engine.write(batch);
  store.committed();
  for (const revision of [-1, -100, Number.MIN_SAFE_INTEGER]) {
    const job = new HashJob(hashScope(store, revision));
    while (!job.step(100));
    // What etcd 3.7.1 answers.
    expect(job.result()).toEqual({ hash: 1084519789, revision, compactRevision: -1 });
  }
});

it('gives the same hash while a compaction removes, whatever it has removed already', () => {
  const engine = new MemoryEngine();
  const store = new MvccStore(engine);
  const commit = (write: (batch: WriteBatch) => void): void => {
    const batch = engine.batch();
    write(batch);
    engine.write(batch);
  };
  const hash = (): StoreHash => {
    const job = new HashJob(hashScope(store, 0));
    while (!job.step(100));
    return job.result();
  };
  for (let count = 0; count < 5; count += 1) {
    const txn = store.begin();
    txn.put(Buffer.from('key'), Buffer.from(`value ${count}`), 0n);
    txn.end();
    commit((batch) => store.stage(batch));
    store.committed();
  }
  commit((batch) => void store.compact(6, batch));
  const before = hash();
  const removal = new CompactionJob(store, 6);
  for (let done = false; !done;) {
    commit((batch) => {
      done = removal.step(batch, 1);
    });
    expect(hash()).toEqual(before);
  }
});
