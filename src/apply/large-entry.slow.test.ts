import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../lib/seeded-random.ts';
import { runSteps } from '../lib/steps.ts';
import { keyRange } from '../mvcc/key-range.ts';
import { allKeys } from '../mvcc/testing/range-options.ts';
import { applyInSmallBatches, logWithLargeEntry } from './testing/large-entries.ts';
import { bytes, DyingEngine, keyText, kinds, LEASE, Machine } from './testing/machine.ts';

describe.each(Object.keys(kinds))('%s, too large for a turn', (kind) => {
  const { log, large } = logWithLargeEntry(kind);

  it('writes in small batches what one large batch would write', () => applyInSmallBatches(kind));

  it('becomes visible all at once', () => {
    const machine = new Machine();
    machine.apply(log.slice(0, large - 1));
    const { revision } = machine.store;
    const old = machine.read();
    const oldKeys = runSteps(machine.lessor.keysOf(LEASE)).length;
    const range = keyRange(bytes(keyText(100)), bytes(keyText(3100)));
    const oldPart = machine.read({ range });
    const states = new Set<number>();
    const after: { whole?: string; part?: string } = {};
    let turns = 0;
    machine.apply(log.slice(large - 1, large), () => {
      if (turns++ % 5 > 1) return;
      const seen = machine.store.revision;
      states.add(seen);
      expect(machine.read({ revision })).toEqual(old);
      expect(machine.read({ revision, range, limit: 10 }).count).toBe(oldPart.count);
      const whole = machine.read();
      const part = machine.read({ range, limit: 5 });
      expect(machine.store.range({ ...allKeys, countOnly: true }).count).toBe(whole.keys);
      if (seen === revision) {
        expect(whole).toEqual(old);
        expect(part.count).toBe(oldPart.keys);
        if (machine.lessor.lookup(LEASE) !== undefined)
          expect(runSteps(machine.lessor.keysOf(LEASE))).toHaveLength(oldKeys);
        expect(machine.store.get(bytes(keyText(2000)))?.mod).toBeLessThanOrEqual(revision);
      } else {
        after.whole ??= JSON.stringify(whole);
        after.part ??= JSON.stringify(part);
        expect(JSON.stringify(whole)).toBe(after.whole);
        expect(JSON.stringify(part)).toBe(after.part);
        expect(machine.store.get(bytes(keyText(2000)))).toBeUndefined();
        expect(machine.store.getAt(bytes(keyText(2000)), revision)?.mod).toBeLessThanOrEqual(revision);
      }
    });
    expect([...states]).toEqual([revision, revision + 1]);
    expect(JSON.stringify(machine.read())).toBe(after.whole);
    expect(machine.read({ revision })).toEqual(old);
    expect(machine.events.at(-1)?.every(({ main }) => main === revision + 1)).toBe(true);
  });

  it('is complete after a crash at any write', () => {
    const whole = new Machine();
    whole.apply(log);
    const expected = whole.rows();
    const random = new SeededRandom(1);
    const initial = new Machine();
    initial.apply(log.slice(0, large - 1));
    const writes = whole.engine.writes - initial.engine.writes;
    for (let round = 0; round < 8; round += 1) {
      const engine = new DyingEngine();
      const machine = new Machine(engine);
      machine.apply(log.slice(0, large - 1));
      engine.writesLeft = round === 0 ? 1 : random.int(writes);
      expect(() => machine.apply(log.slice(large - 1))).toThrow('killed');
      engine.writesLeft = Infinity;
      const next = new Machine(engine);
      expect(next.read().keys).toBe(next.store.keyCounts.total);
      next.apply(log);
      expect(withoutCounts(next.rows())).toEqual(withoutCounts(expected));
      expect(next.store.keyCounts.total).toBe(whole.store.keyCounts.total);
    }
  });
});

/** Drops the rows of key counts. They may be split differently; the store compares their sums with its own count. */
function withoutCounts(rows: readonly string[]): string[] {
  return rows.filter((row) => !row.startsWith('meta fence/'));
}
