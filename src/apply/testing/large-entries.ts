import { expect } from 'vitest';
import type { Entry } from '../../wire/gen/raftpb.ts';
import { DyingEngine, entries, initialRequests, kinds, LEASE, Machine, put } from './machine.ts';

/** A log with a large entry of a kind, at index `large`, and two puts after it. */
export function logWithLargeEntry(kind: string): { log: Entry[]; large: number } {
  const log = entries([
    ...initialRequests(),
    { ...kinds[kind] },
    put('k9', 'later', LEASE * 0n),
    put('a', 'last'),
  ]);
  return { log, large: log.length - 2 };
}

/** Applies the large entry. It must be written in small batches, with the same result as one batch. */
export function applyInSmallBatches(kind: string): void {
  const { log, large } = logWithLargeEntry(kind);
  const machine = new Machine();
  machine.apply(log.slice(0, large - 1));
  machine.engine.largestBatch = 0;
  const before = machine.engine.writes;
  machine.apply(log.slice(large - 1));
  expect(machine.engine.largestBatch).toBeLessThan(700);
  expect(machine.engine.writes - before).toBeGreaterThan(15);
  expect(machine.store.keyCounts.total).toBe(machine.read().keys);
  // A newly opened store, the rows of a backend and a lease's keys agree.
  const again = new Machine(machine.engine);
  expect(again.read()).toEqual(machine.read());
  expect(again.store.revision).toBe(machine.store.revision);
}

/** A member killed between the writes of a delete of many keys, which is the last entry of its log. */
export function killedInDelete(): { log: Entry[]; engine: DyingEngine; machine: Machine } {
  const log = entries([...initialRequests(), { ...kinds['a delete of a range'] }]);
  const engine = new DyingEngine();
  const machine = new Machine(engine);
  machine.apply(log.slice(0, -1));
  engine.writesLeft = 5;
  expect(() => machine.apply(log.slice(-1))).toThrow('killed');
  engine.writesLeft = Infinity;
  return { log, engine, machine };
}
