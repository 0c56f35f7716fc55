import { expect, it } from 'vitest';
import { RangeRequestSortTarget as SortTarget } from '../wire/gen/etcdserverpb.ts';
import { keyRange } from './key-range.ts';
import type { RangeScan } from './range-scan.ts';
import { MvccStore } from './store.ts';
import { allKeys } from './testing/range-options.ts';
import { CountingEngine } from './testing/counting-engine.ts';

const KEYS_PER_STEP = 100;
/** Upper limit of rows read in one step: two columns with four rows for each key, and some more. */
const MOST_ROWS = 1000;

class World {
  readonly engine = new CountingEngine();
  readonly store = new MvccStore(this.engine);

  change(change: (txn: ReturnType<MvccStore['begin']>) => void): void {
    const txn = this.store.begin();
    change(txn);
    txn.end();
    const batch = this.engine.batch();
    this.store.stage(batch);
    this.engine.write(batch);
    this.store.committed();
  }

  put(key: string, value: string): void {
    this.change((txn) => txn.put(Buffer.from(key), Buffer.from(value), 0n));
  }

  /** Runs all steps. Each step reads a limited number of rows. */
  run(scan: RangeScan): { steps: number; kvs: Buffer[]; count: number } {
    let steps = 0;
    for (let done = false; !done; steps += 1) {
      this.engine.rows = 0;
      done = scan.step(KEYS_PER_STEP);
      expect(this.engine.rows).toBeLessThanOrEqual(MOST_ROWS);
    }
    this.engine.rows = 0;
    const result = scan.result();
    expect(this.engine.rows).toBe(0);
    return { steps, kvs: result.readAll(), count: result.count };
  }
}

function text(n: number): string {
  return n.toString().padStart(6, '0');
}

interface Sizes {
  /** Keys of the test of deleted keys. */
  readonly deleted: number;
  /** Revisions of one key. */
  readonly revisions: number;
  /** Keys of the test of sorting. */
  readonly sorted: number;
}

/** Scans read a limited number of rows in each step, whatever the size of the data. */
export function rangeScanCases({ deleted, revisions, sorted }: Sizes): void {
  it('reads a past revision in short steps over deleted keys', () => {
    const world = new World();
    world.put('z', 'first');
    world.change((txn) => {
      for (let n = 0; n < deleted; n += 1) txn.put(Buffer.from(`k${text(n)}`), Buffer.from('v'), 0n);
    });
    world.change((txn) => txn.deleteRange(keyRange(Buffer.from('k'), Buffer.from('l'))));
    const { revision } = world.store;
    world.put('z', 'last');
    const { steps, kvs } = world.run(world.store.scan({ ...allKeys, revision }));
    expect(kvs).toHaveLength(1);
    expect(steps).toBeGreaterThan(deleted / 400);
  });

  it('reads a past revision in short steps over the many revisions of a key', () => {
    const world = new World();
    for (let n = 0; n < revisions; n += 1) world.put('k', `${n}`);
    const { steps, kvs } = world.run(world.store.scan({ ...allKeys, revision: revisions / 2 }));
    expect(kvs).toHaveLength(1);
    expect(kvs[0]?.toString('latin1')).toContain(`${revisions / 2 - 2}`);
    expect(steps).toBeGreaterThan(revisions / 1000);
  });

  it('reads values to sort by in short steps, and sorts before the result is taken', () => {
    const world = new World();
    const value = (n: number): string => text((n * 7919) % 10_007);
    world.change((txn) => {
      for (let n = 0; n < sorted; n += 1)
        txn.put(Buffer.from(`k${text(n)}`), Buffer.from(value(n) + 'x'.repeat(500)), 0n);
    });
    const { steps, kvs } = world.run(world.store.scan({ ...allKeys, sortTarget: SortTarget.VALUE }));
    const expected = Array.from({ length: sorted }, (_, n) => value(n)).sort();
    expect(kvs.map((kv) => /\d{6}(?=xxx)/.exec(kv.toString('latin1'))?.[0])).toEqual(expected);
    expect(steps).toBeGreaterThan(sorted / 100);
  });

  it('reads no keys beyond the limit if the total count is not needed', () => {
    const world = new World();
    world.change((txn) => {
      for (let n = 0; n < 500; n += 1) txn.put(Buffer.from(`k${text(n)}`), Buffer.from('v'), 0n);
    });
    const range = { ...allKeys.range, start: Buffer.from(`k${text(100)}`) };
    world.engine.rows = 0;
    const scan = world.store.scan({ ...allKeys, range, limit: 10 }, { totalCount: false });
    expect(scan.step(KEYS_PER_STEP)).toBe(true);
    expect(world.engine.rows).toBeLessThanOrEqual(11);
    expect(scan.result()).toMatchObject({ more: true, length: 10 });
  });

  it('finds few keys in one step', () => {
    const world = new World();
    for (const key of ['a', 'b', 'c']) world.put(key, 'v');
    for (const revision of [0, 3]) {
      const { steps, count } = world.run(world.store.scan({ ...allKeys, revision }));
      expect({ steps, count }).toEqual({ steps: 1, count: revision === 0 ? 3 : 2 });
    }
  });
}
