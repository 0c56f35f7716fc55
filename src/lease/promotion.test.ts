import { expect, it } from 'vitest';
import { Promotion } from './promotion.ts';

interface Item {
  readonly seconds: number | undefined;
}

/** Runs a promotion in steps of `limit`. Returns how many items each step looked at, and what was scheduled. */
function promote(items: readonly Item[], limit: number): { looks: number[]; scheduled: number[] } {
  const looks: number[] = [];
  const scheduled: number[] = [];
  let seen = 0;
  const promotion = new Promotion<Item>(
    {
      items: items.values(),
      remainingSeconds: ({ seconds }) => {
        seen += 1;
        return seconds;
      },
      schedule: (_item, seconds) => void scheduled.push(seconds),
    },
    1000,
  );
  for (let isDone = false; !isDone;) {
    seen = 0;
    isDone = promotion.step(limit);
    looks.push(seen);
  }
  return { looks, scheduled };
}

const items = Array.from({ length: 1000 }, (_, at) => ({ seconds: 2 + ((at * 7919) % 37) }));

it('schedules all leases, the earliest first', () => {
  const { scheduled } = promote(items, 100);
  expect(scheduled).toEqual(items.map(({ seconds }) => seconds).sort((a, b) => a - b));
});

it('looks at no more leases in a step than it may', () => {
  const { looks } = promote(items, 100);
  expect(Math.max(...looks)).toBeLessThanOrEqual(101);
  expect(looks.length).toBeGreaterThanOrEqual(20);
});

// Leases that need no scheduling were not counted: one step went through all of them.
it('counts leases that need no scheduling', () => {
  const { looks, scheduled } = promote(
    items.map(() => ({ seconds: undefined })),
    100,
  );
  expect(Math.max(...looks)).toBeLessThanOrEqual(101);
  expect(scheduled).toEqual([]);
});
