import { expect, it } from 'vitest';
import { DyingEngine, entries, initialRequests, kinds, Machine, put } from '../apply/testing/machine.ts';
import { columns, type Engine } from '../ports/engine.ts';
import { EMPTY } from '../wire/reader.ts';
import { verifyStore } from './verify-store.ts';

function copyOf(engine: Engine): DyingEngine {
  const copy = new DyingEngine();
  const batch = copy.batch();
  for (const column of columns) {
    const iterator = engine.iterate(column, { gte: EMPTY });
    const rows = iterator.next(Infinity);
    iterator.close();
    for (let at = 0; at < rows.length; at += 2) batch.put(column, rows[at] ?? EMPTY, rows[at + 1] ?? EMPTY);
  }
  copy.write(batch);
  return copy;
}

/*
 * Found with a kill amid the deletion of many keys: what the next start brings into the index was reported as wrong.
 */
it.each(Object.keys(kinds))('finds nothing wrong after a kill between the writes of %s', (kind) => {
  const log = entries([...initialRequests(), { ...kinds[kind] }, put('k9', 'later')]);
  const large = log.length - 1;
  const initial = new Machine();
  initial.apply(log.slice(0, large - 1));
  const whole = new Machine(copyOf(initial.engine));
  const before = whole.engine.writes;
  whole.apply(log.slice(large - 1));
  const writes = whole.engine.writes - before;
  const revision = whole.store.revision - 1;
  const seen = new Set<number | undefined>();
  for (const part of [0, 0.1, 0.3, 0.55, 0.8]) {
    const kept = Math.floor(writes * part);
    const engine = copyOf(initial.engine);
    const machine = new Machine(engine);
    engine.writesLeft = kept;
    expect(() => machine.apply(log.slice(large - 1))).toThrow('killed');
    const { findings, unfinishedRevision } = verifyStore(engine, { isLogAhead: true });
    expect([kept, findings]).toEqual([kept, []]);
    seen.add(unfinishedRevision);
  }
  expect([...seen]).toEqual([undefined, revision]);
  expect(verifyStore(whole.engine)).toMatchObject({ findings: [], unfinishedRevision: undefined });
});
