import { expect, it } from 'vitest';
import { DyingEngine, entries, initialRequests, kinds, Machine } from '../apply/testing/machine.ts';
import { verifyStore } from './verify-store.ts';

it('still finds what is wrong beside an interrupted change', () => {
  const log = entries([...initialRequests(), { ...kinds['a delete of a range'] }]);
  const engine = new DyingEngine();
  const machine = new Machine(engine);
  machine.apply(log.slice(0, -1));
  engine.writesLeft = 5;
  expect(() => machine.apply(log.slice(-1))).toThrow('killed');
  engine.writesLeft = Infinity;
  expect(verifyStore(engine).findings).not.toEqual([]);
  expect(verifyStore(engine, { isLogAhead: true }).findings).toEqual([]);
  const batch = engine.batch();
  batch.del('latest', Buffer.from('a'));
  engine.write(batch);
  const { findings } = verifyStore(engine, { isLogAhead: true });
  expect(findings.map(({ where }) => where)).toEqual(['event count', 'meta key counts']);
});
