import { expect, it } from 'vitest';
import { applyInSmallBatches, killedInDelete } from './testing/large-entries.ts';
import { Machine } from './testing/machine.ts';

it('a large entry is written in small batches with the result of one large batch', () =>
  applyInSmallBatches('a delete of a range'));

// The slow test lets it crash at other writes, and compares all rows.
it('a large entry is complete after a crash between its writes', () => {
  const { log, engine, machine } = killedInDelete();
  const next = new Machine(engine);
  next.apply(log);
  expect(next.read().keys).toBe(next.store.keyCounts.total);
  expect(next.store.revision).toBe(machine.store.revision + 1);
});
