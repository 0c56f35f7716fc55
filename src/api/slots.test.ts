import { expect, it } from 'vitest';
import { IDLE_MS, type Slot, Slots } from './slots.ts';

function setUp(limit: number) {
  let nowMs = 0;
  let look: (() => void) | undefined;
  const slots = new Slots(limit, {
    clock: { now: () => nowMs, wall: () => nowMs },
    scheduler: {
      soon: () => undefined,
      after: () => () => undefined,
      every: (_ms, task) => {
        look = task;
        return () => {
          look = undefined;
        };
      },
    },
  });
  const granted = new Map<string, Slot>();
  const abandoned: string[] = [];
  const take = (name: string): (() => void) =>
    slots.take(
      (slot) => granted.set(name, slot),
      () => abandoned.push(name),
    );
  return {
    slots,
    granted,
    abandoned,
    take,
    pass: (ms: number) => {
      nowMs += ms;
      look?.();
    },
    isLooking: () => look !== undefined,
  };
}

it('calls above the limit wait in a queue, and calls that leave it are skipped', () => {
  const { take, granted, isLooking } = setUp(2);
  take('a');
  take('b');
  const leave = take('c');
  take('d');
  expect([...granted.keys()]).toEqual(['a', 'b']);
  leave();
  granted.get('a')!.release();
  granted.get('a')!.release();
  expect([...granted.keys()]).toEqual(['a', 'b', 'd']);
  expect(isLooking()).toBe(false);
});

it('a call with an idle client keeps its slot only while no other call waits', () => {
  const { take, granted, abandoned, pass } = setUp(2);
  take('idle');
  take('used');
  pass(IDLE_MS + 1);
  expect(abandoned).toEqual([]);
  granted.get('used')!.used();
  take('next');
  pass(1);
  expect([abandoned, [...granted.keys()]]).toEqual([['idle'], ['idle', 'used', 'next']]);
  pass(IDLE_MS + 1);
  expect(abandoned).toEqual(['idle']);
  granted.get('idle')!.release();
  take('last');
  expect(granted.has('last')).toBe(false);
});

it('a call that cannot be aborted keeps its slot', () => {
  const { slots, take, granted, pass } = setUp(1);
  slots.take((slot) => granted.set('hash', slot));
  take('next');
  pass(IDLE_MS * 10);
  expect(granted.has('next')).toBe(false);
  granted.get('hash')!.release();
  expect(granted.has('next')).toBe(true);
});
