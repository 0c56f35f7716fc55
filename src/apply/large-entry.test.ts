import { expect, it } from 'vitest';
import { applyInSmallBatches } from './testing/large-entries.ts';
import { DyingEngine, entries, initialRequests, kinds, Machine } from './testing/machine.ts';

it('a large entry is written in small batches with the result of one large batch', () =>
  applyInSmallBatches('a delete of a range'));

// The slow test lets it crash at other writes, and compares all rows.
it('a large entry is complete after a crash between its writes', () => {
  const log = entries([...initialRequests(), { ...kinds['a delete of a range'] }]);
  const engine = new DyingEngine();
  const machine = new Machine(engine);
  machine.apply(log.slice(0, -1));
  engine.writesLeft = 5;
  expect(() => machine.apply(log.slice(-1))).toThrow('killed');
  engine.writesLeft = Infinity;
  const next = new Machine(engine);
  next.apply(log);
  expect(next.read().keys).toBe(next.store.keyCounts.total);
  expect(next.store.revision).toBe(machine.store.revision + 1);
});
