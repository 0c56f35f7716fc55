import { describe, expect, it } from 'vitest';
import { SeededRandom } from './seeded-random.ts';
import { SlicedSort } from './sliced-sort.ts';

describe('sorting in slices', () => {
  it.each([0, 1, 2, 511, 512, 513, 1024, 5000, 40_000])(
    'sorts %i items and keeps the order of equal ones',
    (length) => {
      const random = new SeededRandom(length);
      const items = Array.from({ length }, (_, place) => ({ value: random.int(length / 3 + 1), place }));
      const expected = [...items].sort((a, b) => a.value - b.value);
      const sort = new SlicedSort([...items], (a, b) => a.value - b.value);
      let steps = 1;
      while (!sort.step(700)) steps += 1;
      expect(sort.result).toEqual(expected);
      expect(steps).toBeGreaterThanOrEqual(length / 1400);
    },
  );

  it('makes no more comparisons than a slice may', () => {
    let compares = 0;
    const items = Array.from({ length: 20_000 }, (_, n) => (n * 7919) % 20_011);
    const sort = new SlicedSort(items, (a, b) => {
      compares += 1;
      return a - b;
    });
    for (let done = false; !done;) {
      compares = 0;
      done = sort.step(1000);
      expect(compares).toBeLessThan(1024 * 10);
    }
  });
});
