import { describe, expect, it } from 'vitest';
import { DyingEngine, entries, initialRequests, kinds, LEASE, Machine, put } from './testing/machine.ts';

describe.each(['a delete of a range'])('%s, too large for a turn', (kind) => {
  const log = entries([
    ...initialRequests(),
    { ...kinds[kind] },
    put('k9', 'later', LEASE * 0n),
    put('a', 'last'),
  ]);
  const large = log.length - 2;

  it('writes in small batches what one large batch would write', () => {
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
  });
});

// The slow test lets it crash at other writes, and compares all rows.
it('a large entry is complete after a crash amid its writes', () => {
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
