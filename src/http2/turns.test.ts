import { expect, it } from 'vitest';
import { Endings } from './endings.ts';
import { type SlicedWork, Turns } from './turns.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2));

/** A clock that advances by a millisecond each time it is read. */
function steppingClock(): () => number {
  let ms = 0;
  return () => ++ms;
}

function work(name: string, slices: number, done: string[]): SlicedWork {
  let left = slices;
  return {
    slice: () => {
      done.push(name);
      left--;
      return left > 0;
    },
  };
}

it('work that does not fit into a turn continues in the next turns, by round robin', async () => {
  const turns = new Turns(steppingClock());
  const done: string[] = [];
  turns.addLater(work('a', 20, done));
  turns.addLater(work('b', 20, done));
  await new Promise(setImmediate);
  const first = done.length;
  expect(first).toBeLessThan(8);
  expect(done.slice(0, 4)).toEqual(['a', 'b', 'a', 'b']);
  while (done.length < 40) await nextTurn();
});

it('work that had no time in the turn comes first, and all other work continues', async () => {
  const turns = new Turns(steppingClock());
  const done: string[] = [];
  turns.addLater(work('greedy', 1, done));
  for (let i = 0; i < 50; i++) turns.addFirst(work('modest', 1, done));
  await new Promise(setImmediate);
  expect(done[0]).toBe('modest');
  expect(done).toContain('greedy');
  expect(done.length).toBeLessThan(10);
  while (done.length < 51) await nextTurn();
});

it('the time for reading is limited in each turn', async () => {
  const turns = new Turns(steppingClock());
  const answers = Array.from({ length: 10 }, () => turns.hasTime);
  expect(answers[0]).toBe(true);
  expect(answers.at(-1)).toBe(false);
  const before = turns.turn;
  await nextTurn();
  expect(turns.turn).toBeGreaterThan(before);
  expect(turns.hasTime).toBe(true);
});

it('closing ten thousand connections is spread over many turns', async () => {
  const endings = new Endings(new Turns(steppingClock()));
  let ended = 0;
  let most = 0;
  let atStart = 0;
  for (let i = 0; i < 10_000; i++) endings.add(() => ended++);
  while (ended < 10_000) {
    await new Promise(setImmediate);
    most = Math.max(most, ended - atStart);
    atStart = ended;
  }
  expect(most).toBeLessThan(100);
  endings.add(() => ended++);
  while (ended < 10_001) await nextTurn();
});
