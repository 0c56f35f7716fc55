import { expect } from 'vitest';
import { stageAppliedState } from '../../apply/applied-state.ts';
import { type BucketContents, databaseChunks, measureDatabase } from '../../bbolt/writer.ts';
import { Lessor } from '../../lease/lessor.ts';
import { SeededRandom } from '../../lib/seeded-random.ts';
import { CompactionJob } from '../../mvcc/compaction.ts';
import { HashJob, hashScope } from '../../mvcc/hash.ts';
import { MvccStore } from '../../mvcc/store.ts';
import type { Column, Engine } from '../../ports/engine.ts';
import { RocksEngine } from '../../storage/rocks-engine.ts';
import { ConfState } from '../../wire/gen/raftpb.ts';
import { BackendContents } from '../backend-contents.ts';

const noClock = { now: () => 0 };

/** A store with a random history, as entries would leave it. */
export class History {
  readonly engine: RocksEngine;
  readonly store: MvccStore;
  readonly random: SeededRandom;
  readonly lessor: Lessor;
  #index = 10;

  private constructor(engine: RocksEngine, seed: number) {
    this.engine = engine;
    this.store = new MvccStore(engine);
    this.random = new SeededRandom(seed);
    this.lessor = new Lessor({ engine, clock: noClock as never, minTtl: 1, checkpoints: false });
  }

  static async make(directory: string, seed: number): Promise<History> {
    return new History(await RocksEngine.open(directory), seed);
  }

  get index(): number {
    return this.#index;
  }

  commit(): void {
    const batch = this.engine.batch();
    this.store.stage(batch);
    this.lessor.stage(batch);
    this.#index += 1;
    stageAppliedState(batch, {
      index: this.#index,
      term: 3,
      confState: ConfState.create({ voters: [1n, 2n ** 64n - 1n], learners: [7n] }),
    });
    this.engine.write(batch);
    this.store.committed();
  }

  run(transactions: number): void {
    const { random, store, lessor } = this;
    for (let lease = 1n; lease <= 5n; lease += 1n) if (!lessor.lookup(lease)) lessor.grant(lease, 100);
    for (let n = 0; n < transactions; n += 1) {
      const txn = store.begin();
      for (let change = 0; change <= random.int(4); change += 1) {
        const key = Buffer.from(`key/${random.int(200)}`);
        const previous = txn.get(key);
        if (previous !== undefined && previous.lease !== 0n) lessor.detach(previous.lease, key);
        if (random.int(4) === 0) txn.deleteRange({ start: key, end: undefined, single: true });
        else {
          const lease = random.int(3) === 0 ? BigInt(1 + random.int(5)) : 0n;
          txn.put(key, random.bytes(random.int(50) === 0 ? 20_000 : random.int(300)), lease);
          if (lease !== 0n) lessor.attach(lease, key);
        }
      }
      txn.end();
      if (random.int(10) === 0) this.commit();
    }
    this.commit();
  }

  compact(revision: number, isFinished = true): void {
    const batch = this.engine.batch();
    expect(this.store.compact(revision, batch)).toBeUndefined();
    this.engine.write(batch);
    const job = new CompactionJob(this.store, revision);
    for (let done = false; !done;) {
      const slice = this.engine.batch();
      done = job.step(slice, 50);
      this.engine.write(slice);
      if (!isFinished) return job.cancel();
    }
  }
}

export function hashOf(engine: Engine, revision = 0): unknown {
  const job = new HashJob(hashScope(new MvccStore(engine), revision));
  while (!job.step(500));
  return job.result();
}

export function fileOf(contents: BucketContents): Buffer {
  return Buffer.concat([...databaseChunks(contents, measureDatabase(contents), 1 << 16)]);
}

export function exportInline(engine: RocksEngine): Buffer {
  const view = engine.view();
  const file = fileOf(new BackendContents(view));
  view.close();
  return file;
}

export function rowsOf(engine: Engine, column: Column): string[] {
  const rows: string[] = [];
  const iterator = engine.iterate(column, { gte: Buffer.alloc(0) });
  for (let batch = iterator.next(1000); batch.length > 0; batch = iterator.next(1000))
    for (let n = 0; n < batch.length; n += 2)
      rows.push(`${batch[n]?.toString('hex') ?? ''}=${batch[n + 1]?.toString('hex') ?? ''}`);
  iterator.close();
  return rows;
}
