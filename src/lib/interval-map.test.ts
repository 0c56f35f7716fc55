import { expect, it } from 'vitest';
import { IntervalMap, NO_END } from './interval-map.ts';
import { SeededRandom } from './seeded-random.ts';

it('finds the same intervals as a linear search', () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = new SeededRandom(seed);
    const map = new IntervalMap<string>();
    const all = new Map<string, { start: string; end: string }>();
    const key = (): string => String.fromCharCode(97 + random.int(12), 97 + random.int(3));
    for (let step = 0; step < 300; step += 1) {
      const start = key();
      const end = random.chance(0.2) ? NO_END : key();
      const name = `${start}-${end}`;
      if (all.has(name)) {
        if (map.get(start, end) !== name) expect.fail(`${name} is not found`);
        if (random.chance(0.7)) {
          map.delete(start, end);
          all.delete(name);
        }
      } else {
        if (map.get(start, end) !== undefined) expect.fail(`${name} is found`);
        map.add(start, end, name);
        all.set(name, { start, end });
      }
      const point = key();
      const found: string[] = [];
      map.stab(point, found);
      const expected = [...all].filter(([, { start, end }]) => start <= point && point < end);
      // One comparison of texts: toEqual at each step takes most of the time of this test.
      const names = expected.map(([each]) => each).sort();
      if (found.sort().join() !== names.join()) expect(found).toEqual(names);
    }
    expect(map.size).toBe(all.size);
    expect([...map.values()].sort()).toEqual([...all.keys()].sort());
  }
});
