import { expect, it } from 'vitest';
import { LongReads } from './long-reads.ts';

/** An event loop whose clock advances while slices run. */
function loop() {
  const state = { nowMs: 0, busy: false };
  let next: (() => void)[] = [];
  const soon = (task: () => void): void => void next.push(task);
  const reads = new LongReads({
    clock: { now: () => state.nowMs },
    scheduler: { soon },
    isBusy: () => state.busy,
  });
  /** Runs one turn; returns the milliseconds it took. */
  const turn = (): number => {
    const tasks = next;
    next = [];
    const before = state.nowMs;
    for (const task of tasks) task();
    return state.nowMs - before;
  };
  return { state, soon, reads, turn, isIdle: () => next.length === 0 };
}

/** A read that consists of a number of slices of a quarter of a millisecond. */
function read({ state, reads }: ReturnType<typeof loop>, name: string, slices: number, done: string[]): void {
  let left = slices;
  const slice = (): void => {
    state.nowMs += 0.25;
    done.push(name);
    left -= 1;
    if (left > 0) reads.soon(slice);
  };
  reads.soon(slice);
}

it('all reads together take about one millisecond per turn, in their order', () => {
  const on = loop();
  const done: string[] = [];
  for (const name of ['a', 'b', 'c']) read(on, name, 4, done);
  const took: number[] = [];
  while (!on.isIdle()) took.push(on.turn());
  expect(took).toEqual([1, 1, 1]);
  expect(done).toEqual(['a', 'b', 'c', 'a', 'b', 'c', 'a', 'b', 'c', 'a', 'b', 'c']);
});

it('while writes are pending, a turn has one slice, after the requests that arrived in the turn', () => {
  const on = loop();
  const done: string[] = [];
  read(on, 'list', 3, done);
  read(on, 'list', 3, done);
  on.state.busy = true;
  on.soon(() => done.push('write'));
  on.turn();
  expect(done).toEqual(['write']);
  const took: number[] = [];
  while (!on.isIdle()) took.push(on.turn());
  expect(Math.max(...took)).toBe(0.25);
  expect(done).toHaveLength(7);
});

it('reads continue at full speed when no write is pending', () => {
  const on = loop();
  const done: string[] = [];
  read(on, 'list', 9, done);
  on.state.busy = true;
  on.turn();
  on.turn();
  on.state.busy = false;
  const took: number[] = [];
  while (!on.isIdle()) took.push(on.turn());
  expect(took).toEqual([1, 1]);
});
