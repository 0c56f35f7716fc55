import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../lib/seeded-random.ts';
import type { OpenStore } from './open-store.ts';
import { RocksStore } from './rocks-store.ts';
import { simulate } from './simulation.ts';
import { SimTime } from './time.ts';

const SEEDS = 10;

describe('members with stores of RocksDB', () => {
  it('stay consistent through crashes, power cuts, full and failing disks', async () => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const members = seed % 3 === 0 ? 5 : 3;
      const { failure, trace, answered } = await simulate({ seed, members, minutes: 1, rocks: true });
      if (failure !== undefined)
        expect.fail(
          `seed ${seed}: ${failure}\n${trace.slice(-40).join('\n')}\n` +
            `replay: npm run sim -- --seed ${seed} --members ${members} --minutes 1 --rocksdb`,
        );
      expect(answered).toBeGreaterThan(50);
    }
  }, 300_000);

  it('run the same history from the same seed', async () => {
    const once = await simulate({ seed: 7, members: 3, minutes: 1, rocks: true });
    const again = await simulate({ seed: 7, members: 3, minutes: 1, rocks: true });
    expect(again).toEqual(once);
  });
});

describe('a crash of a machine with RocksDB', () => {
  const key = (n: number): Buffer => Buffer.from([n]);

  function write(store: OpenStore, n: number): void {
    const batch = store.batch();
    batch.put('latest', key(n), Buffer.alloc(100, n));
    store.write(batch);
  }

  async function found(store: OpenStore): Promise<number[]> {
    const rows = store.iterate('latest', { gte: Buffer.alloc(0), keysOnly: true });
    const keys = rows.next(100).flatMap((row, at) => (at % 2 === 0 ? [row[0] ?? -1] : []));
    rows.close();
    return Promise.resolve(keys);
  }

  it.each([false, true])(
    'keeps what was synced, and what came first of the rest; power cut %s',
    async (cutsPower) => {
      let lost = 0;
      for (let seed = 1; seed <= 10; seed += 1) {
        const time = new SimTime();
        const machine = new RocksStore({ time, random: new SeededRandom(seed), syncMs: () => 1 });
        const user = { life: { isOver: false }, onFailure: (error: Error) => expect.fail(error.message) };
        const store = await machine.open(user);
        for (let n = 0; n < 10; n += 1) write(store, n);
        void store.syncLog();
        await time.runUntil(5);
        for (let n = 10; n < 30; n += 1) write(store, n);
        machine.crash(cutsPower);
        const kept = await found(await machine.open(user));
        await machine.remove();
        expect(kept).toEqual(Array.from({ length: kept.length }, (_, n) => n));
        expect(kept.length).toBeGreaterThanOrEqual(cutsPower ? 10 : 30);
        lost += 30 - kept.length;
      }
      if (cutsPower) expect(lost).toBeGreaterThan(20);
    },
  );
});
