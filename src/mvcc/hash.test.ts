import { expect, it } from 'vitest';
import { MemoryEngine } from '../storage/memory-engine.ts';
import { HashJob, hashScope } from './hash.ts';
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
