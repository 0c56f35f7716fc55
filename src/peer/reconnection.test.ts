import { beforeEach, expect, it } from 'vitest';
import { Reconnection } from './reconnection.ts';

const SILENCE_MS = 500;

let timers: { delayMs: number; task: () => void }[];
let gone: number;
let reconnection: Reconnection;

beforeEach(() => {
  timers = [];
  gone = 0;
  reconnection = new Reconnection({
    silenceMs: SILENCE_MS,
    gone: () => (gone += 1),
    after: (delayMs, task) => {
      const timer = { delayMs, task };
      timers.push(timer);
      return () => timers.splice(timers.indexOf(timer), 1);
    },
  });
});

it('a member whose connections close and that answers new ones is there', () => {
  reconnection.closed();
  reconnection.answered();
  expect(timers).toEqual([]);
  expect(gone).toBe(0);
});

it('one that refuses new connections is gone, once', () => {
  reconnection.closed();
  reconnection.refused();
  reconnection.refused();
  reconnection.closed();
  expect(gone).toBe(1);
  reconnection.answered();
  reconnection.closed();
  reconnection.refused();
  expect(gone).toBe(2);
});

it('one that refused before its last connection closed is gone with that', () => {
  reconnection.refused();
  expect(gone).toBe(0);
  reconnection.closed();
  expect(gone).toBe(1);
});

it('one that does not answer for a while is gone', () => {
  reconnection.closed();
  expect(timers.map(({ delayMs }) => delayMs)).toEqual([SILENCE_MS]);
  timers[0]?.task();
  expect(gone).toBe(1);
});

it('refusals without a loss say nothing', () => {
  reconnection.refused();
  reconnection.refused();
  expect(gone).toBe(0);
});
