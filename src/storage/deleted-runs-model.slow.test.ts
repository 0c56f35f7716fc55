import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { SeededRandom } from '../lib/seeded-random.ts';
import { EMPTY } from '../wire/reader.ts';
import { RocksEngine } from './rocks-engine.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-runs-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const columns = ['latest', 'version', 'lease'] as const;
const KEYS = 2000;
const keyOf = (n: number): Buffer => Buffer.from(`k${String(n).padStart(5, '0')}`);

function expectRows(engine: RocksEngine, expected: readonly Map<string, string>[]): void {
  for (const [at, column] of columns.entries()) {
    const iterator = engine.iterate(column, { gte: EMPTY });
    const rows = iterator.next(KEYS + 1).map(String);
    iterator.close();
    const wanted = [...(expected[at] ?? [])].sort(([a], [b]) => (a < b ? -1 : 1)).flat();
    expect(rows).toEqual(wanted);
    for (let n = 0; n < KEYS; n += 37)
      expect(engine.get(column, keyOf(n))?.toString()).toBe(expected[at]?.get(keyOf(n).toString()));
  }
}

describe('runs of deleted rows', () => {
  it.each([7, 23])('never contain a row that exists: seed %i', async (seed) => {
    const random = new SeededRandom(seed);
    const directory = join(root, String(seed));
    let engine = await RocksEngine.open(directory);
    const expected = columns.map(() => new Map<string, string>());
    for (let round = 0; round < 200; round += 1) {
      // Its rows are written after those of the batch below, and after searches.
      const late = engine.batch();
      const lateKeys = Array.from({ length: random.int(3) }, () => keyOf(random.int(KEYS)));
      for (const key of lateKeys) for (const column of columns) late.put(column, key, Buffer.from('late'));
      const batch = engine.batch();
      const isDeleting = random.chance(0.6);
      for (const [at, column] of columns.entries()) {
        const from = random.int(KEYS);
        const to = Math.min(KEYS, from + random.int(1500));
        for (let n = from; n < to; n += 1) {
          if (random.chance(0.001)) continue;
          const key = keyOf(n);
          if (isDeleting) batch.del(column, key);
          else batch.put(column, key, Buffer.from(`${round}`));
          if (isDeleting) expected[at]?.delete(key.toString());
          else expected[at]?.set(key.toString(), `${round}`);
        }
      }
      engine.write(batch);
      if (random.chance(0.7)) await sleep(random.int(8));
      engine.write(late);
      for (const key of lateKeys) for (const rows of expected) rows.set(key.toString(), 'late');
      if (round % 20 === 19) await engine.reopen();
      else if (random.chance(0.5)) await sleep(random.int(8));
      if (round % 10 === 0) expectRows(engine, expected);
    }
    await engine.close();
    engine = await RocksEngine.open(directory);
    expectRows(engine, expected);
    await engine.close();
  });
});
