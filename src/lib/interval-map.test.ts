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
        expect(map.get(start, end)).toBe(name);
        if (random.chance(0.7)) {
          map.delete(start, end);
          all.delete(name);
        }
      } else {
        expect(map.get(start, end)).toBeUndefined();
        map.add(start, end, name);
        all.set(name, { start, end });
      }
      const point = key();
      const found: string[] = [];
      map.stab(point, found);
      const expected = [...all].filter(([, { start, end }]) => start <= point && point < end);
      expect(found.sort()).toEqual(expected.map(([each]) => each).sort());
    }
    expect(map.size).toBe(all.size);
    expect([...map.values()].sort()).toEqual([...all.keys()].sort());
  }
});
