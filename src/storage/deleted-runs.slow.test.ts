import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import type { WriteBatch } from '../ports/engine.ts';
import { EMPTY } from '../wire/reader.ts';
import { RocksEngine } from './rocks-engine.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-runs-'));
let opened = 0;
const freshDirectory = (): string => join(root, String(opened++));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Milliseconds of processor time of this thread. */
function threadMs(): number {
  const [nanoseconds = '0'] = readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ');
  return Number(nanoseconds) / 1e6;
}

describe.skipIf(process.platform !== 'linux')('rows deleted a short time ago', () => {
  const rows = 100_000;
  const perBatch = 500;
  const rowKey = (n: number): Buffer => Buffer.from(`/registry/pods/${String(n).padStart(8, '0')}`);
  /** @returns milliseconds of the slowest write */
  const inBatches = (
    engine: RocksEngine,
    count: number,
    change: (batch: WriteBatch, n: number) => void,
  ): number => {
    let slowestMs = 0;
    for (let n = 0; n < count;) {
      const batch = engine.batch();
      for (const end = n + perBatch; n < end; n += 1) change(batch, n);
      const startMs = threadMs();
      engine.write(batch);
      slowestMs = Math.max(slowestMs, threadMs() - startMs);
    }
    return slowestMs;
  };
  const orders: Record<string, (n: number) => number> = {
    'in order': (n) => n,
    backwards: (n) => rows - 1 - n,
    // 7919 is prime, so that each row has its turn.
    scattered: (n) => (n * 7919) % rows,
  };

  for (const column of ['latest', 'version'] as const) {
    for (const [name, order] of Object.entries(orders)) {
      it(`are passed in a few milliseconds: ${column} ${name}`, async () => {
        const engine = await RocksEngine.open(freshDirectory());
        const ends = [Buffer.from('+'), Buffer.from('z')];
        const atEnds = engine.batch();
        for (const end of ends) atEnds.put(column, end, end);
        engine.write(atEnds);
        inBatches(engine, 3 * rows, (batch, n) => batch.put(column, rowKey(n), Buffer.alloc(20, 1)));
        const deleteMs = inBatches(engine, rows, (batch, n) => batch.del(column, rowKey(order(n))));
        // Looking for the runs takes little itself.
        expect(deleteMs).toBeLessThan(40);
        const read = (): number => {
          const startMs = threadMs();
          const iterator = engine.iterate(column, { gte: EMPTY, keysOnly: true });
          expect(String(iterator.next(2)[2])).toBe(String(rowKey(rows)));
          iterator.close();
          return threadMs() - startMs;
        };
        // The runs are looked for in later turns.
        let readMs = read();
        for (let reads = 1; reads < 100 && readMs >= 10; reads += 1) {
          await sleep(20);
          readMs = read();
        }
        expect(readMs).toBeLessThan(10);
        await engine.close();
      });
    }
  }
});
