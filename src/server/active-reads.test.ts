import { expect, it } from 'vitest';
import { IDLE_MS, LONGEST_MS, ActiveReads } from './active-reads.ts';

function setUp() {
  let nowMs = 0;
  const abandoned: string[] = [];
  const holds = new ActiveReads({ now: () => nowMs, wall: () => nowMs });
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { holds, pass, abandoned };
}

it('a compaction waits only for reads before its revision', () => {
  const { holds } = setUp();
  const read = holds.add(7);
  expect([holds.block(6), holds.block(7), holds.block(8)]).toEqual([false, false, true]);
  read.release();
  expect(holds.block(8)).toBe(false);
  const all = holds.add(0);
  expect(holds.block(1)).toBe(true);
  all.release();
  all.release();
  expect(holds.block(1)).toBe(false);
});

it('the wait for a client that reads nothing or very slowly is limited', () => {
  const { holds, pass, abandoned } = setUp();
  holds.add(5, () => abandoned.push('idle'));
  const slow = holds.add(5, () => abandoned.push('slow'));
  const own = holds.add(5);
  pass(IDLE_MS);
  slow.used();
  expect(holds.block(9)).toBe(true);
  pass(1);
  // No compaction is after its revision, so it is not limited.
  expect(holds.block(5)).toBe(false);
  expect(abandoned).toEqual([]);
  expect(holds.block(9)).toBe(true);
  expect(abandoned).toEqual(['idle']);
  for (let waitedMs = IDLE_MS; waitedMs < LONGEST_MS; waitedMs += IDLE_MS) {
    pass(IDLE_MS);
    slow.used();
  }
  own.release();
  expect(holds.block(9)).toBe(false);
  expect(abandoned).toEqual(['idle', 'slow']);
});
