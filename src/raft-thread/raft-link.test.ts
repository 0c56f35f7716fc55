import { expect, it } from 'vitest';
import { RaftLink, readRecords } from './raft-link.ts';

it('sends news that can wait with the next batch, and starts no timer for each', () => {
  const timers: (() => void)[] = [];
  const batches: number[][] = [];
  const link = new RaftLink({
    post: (batch) => {
      const kinds: number[] = [];
      readRecords(batch, (kind) => kinds.push(kind));
      batches.push(kinds);
    },
    scheduler: {
      after: (_delayMs, task) => {
        timers.push(task);
        return () => undefined;
      },
    },
  });
  const late = (kind: number): void => {
    link.lateRecord(kind);
    link.late();
  };
  late(1);
  link.flush();
  expect(batches).toEqual([]);
  link.record(2);
  link.flush();
  expect(batches).toEqual([[1, 2]]);

  late(3);
  late(4);
  expect(timers).toHaveLength(1);
  // Its news have left. The newer ones wait as long as they would have alone.
  timers.shift()?.();
  expect(batches).toHaveLength(1);
  timers.shift()?.();
  expect(batches).toEqual([
    [1, 2],
    [3, 4],
  ]);
  expect(timers).toEqual([]);
  late(5);
  expect(timers).toHaveLength(1);
});
