import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from './seeded-random.ts';
import { sortUnstably } from './unstable-sort.ts';

interface Recorded {
  readonly keys: readonly number[];
  /** The position of each item before the sort. */
  readonly order: readonly number[];
}

/** The result of Go 1.26's `sort.Sort` for lists with equal keys: random, nearly sorted, all equal, descending. */
const recorded = JSON.parse(
  readFileSync(new URL('testdata/unstable-sort.json', import.meta.url), 'utf8'),
) as Recorded[];

describe('sortUnstably', () => {
  it('orders equal items as Go does', () => {
    expect(recorded.length).toBeGreaterThan(200);
    for (const { keys, order } of recorded) {
      const items = keys.map((key, at) => ({ key, at }));
      sortUnstably(items, (a, b) => a.key < b.key);
      expect(items.map(({ at }) => at)).toEqual(order);
    }
  });

  it('sorts lists of all kinds', () => {
    const random = new SeededRandom(1);
    for (let round = 0; round < 300; round++) {
      const length = random.int(400);
      const shapes = [
        (): number => random.int(1 + random.int(length + 1)),
        (at: number): number => (at * 7919) % (length + 1),
        (at: number): number => -at,
        (at: number): number => Math.abs(length / 2 - at) % 17,
      ];
      const shape = random.pick(shapes);
      const items = Array.from({ length }, (_, at) => shape(at));
      const sorted = items.toSorted((a, b) => a - b);
      sortUnstably(items, (a, b) => a < b);
      expect(items).toEqual(sorted);
    }
  });
});
