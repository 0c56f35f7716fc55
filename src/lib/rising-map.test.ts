import { describe, expect, it } from 'vitest';
import { RisingMap } from './rising-map.ts';
import { SeededRandom } from './seeded-random.ts';

function filled(keys: readonly number[]): RisingMap<string> {
  const map = new RisingMap<string>();
  for (const key of keys) map.add(key, String(key));
  return map;
}

describe('a rising map', () => {
  it('holds the same as a map', () => {
    const random = new SeededRandom(1);
    const rising = new RisingMap<number>();
    const plain = new Map<number, number>();
    let newest = 0;
    for (let step = 0; step < 8_000; step++) {
      // Few entries, then many, then few again.
      const most = step % 4_000 < 2_000 ? 20 : 800;
      if (plain.size < most && random.chance(0.6)) {
        newest += 1 + random.int(3);
        rising.add(newest, step);
        plain.set(newest, step);
      } else {
        const [oldest = 0] = plain.keys();
        const key = random.chance(0.5) ? oldest : oldest + random.int(newest - oldest + 2);
        expect(rising.delete(key)).toBe(plain.delete(key));
        expect(rising.get(key)).toBeUndefined();
      }
      const asked = newest - random.int(2 * most);
      expect(rising.get(asked)).toBe(plain.get(asked));
      expect(rising.size).toBe(plain.size);
      const [first] = plain.values();
      expect(rising.first).toBe(first);
      if (step % 500 === 0) expect(rising.values()).toEqual([...plain.values()]);
    }
  });

  it('refuses a key that does not rise', () => {
    const map = filled([3, 5]);
    expect(() => map.add(5, 'again')).toThrow('rising');
    map.delete(5);
    expect(() => map.add(4, 'lower')).toThrow('rising');
  });

  it('is empty after it was cleared', () => {
    const map = filled([1, 2, 3]);
    map.clear();
    expect([map.size, map.first, map.get(2), map.values()]).toEqual([0, undefined, undefined, []]);
    map.add(2, 'new');
    expect(map.values()).toEqual(['new']);
  });
});
