import { expect, it } from 'vitest';
import { killedInDelete } from '../apply/testing/large-entries.ts';
import { verifyStore } from './verify-store.ts';

it('still finds what is wrong beside an interrupted change', () => {
  const { engine } = killedInDelete();
  expect(verifyStore(engine).findings).not.toEqual([]);
  expect(verifyStore(engine, { isLogAhead: true }).findings).toEqual([]);
  const batch = engine.batch();
  batch.del('latest', Buffer.from('a'));
  engine.write(batch);
  const { findings } = verifyStore(engine, { isLogAhead: true });
  expect(findings.map(({ where }) => where)).toEqual(['event count', 'meta key counts']);
});
