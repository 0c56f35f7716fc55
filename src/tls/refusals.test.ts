import { expect, it } from 'vitest';
import { Refusals } from './refusals.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

// A thousand handshakes that timed out at once were logged and closed in one turn.
it('closes a few connections in each turn', async () => {
  const refusals = new Refusals();
  const closed: number[] = [];
  for (let connection = 0; connection < 100; connection += 1) refusals.add(() => closed.push(connection));
  expect(closed).toEqual([]);
  let turns = 0;
  for (; closed.length < 100; turns += 1) {
    const before = closed.length;
    await nextTurn();
    expect(closed.length - before).toBeLessThanOrEqual(32);
  }
  expect(turns).toBeGreaterThan(3);
  expect(closed).toEqual(Array.from({ length: 100 }, (_, connection) => connection));
  refusals.add(() => closed.push(100));
  await nextTurn();
  await nextTurn();
  expect(closed.at(-1)).toBe(100);
});
