import { expect, test } from 'vitest';
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

test('a compaction waits for reads before its revision alone', () => {
  const { holds } = setUp();
  const read = holds.add(7);
  expect([holds.hold(6), holds.hold(7), holds.hold(8)]).toEqual([false, false, true]);
  read.release();
  expect(holds.hold(8)).toBe(false);
  const all = holds.add(0);
  expect(holds.hold(1)).toBe(true);
  all.release();
  all.release();
  expect(holds.hold(1)).toBe(false);
});

test('a client that takes nothing, or next to nothing, is not waited for without end', () => {
  const { holds, pass, abandoned } = setUp();
  holds.add(5, () => abandoned.push('idle'));
  const slow = holds.add(5, () => abandoned.push('slow'));
  const own = holds.add(5);
  pass(IDLE_MS);
  slow.used();
  expect(holds.hold(9)).toBe(true);
  pass(1);
  // No compaction wants to go beyond its revision: it may take its time.
  expect(holds.hold(5)).toBe(false);
  expect(abandoned).toEqual([]);
  expect(holds.hold(9)).toBe(true);
  expect(abandoned).toEqual(['idle']);
  for (let waitedMs = IDLE_MS; waitedMs < LONGEST_MS; waitedMs += IDLE_MS) {
    pass(IDLE_MS);
    slow.used();
  }
  own.release();
  expect(holds.hold(9)).toBe(false);
  expect(abandoned).toEqual(['idle', 'slow']);
});
