import { expect, it } from 'vitest';
import { SeededRandom } from './seeded-random.ts';
import { ShardedMap } from './sharded-map.ts';

it('holds the same as a map', () => {
  const random = new SeededRandom(1);
  const sharded = new ShardedMap<number, number>((key) => key);
  const plain = new Map<number, number>();
  for (let step = 0; step < 4_000; step += 1) {
    const key = random.int(500) - 100;
    if (random.chance(0.6)) {
      sharded.set(key, step);
      plain.set(key, step);
    } else expect(sharded.delete(key)).toBe(plain.delete(key));
    expect(sharded.get(key)).toBe(plain.get(key));
    expect(sharded.has(key)).toBe(plain.has(key));
    expect(sharded.size).toBe(plain.size);
  }
  expect([...sharded.values()].sort()).toEqual([...plain.values()].sort());
  sharded.clear();
  expect([sharded.size, ...sharded.values()]).toEqual([0]);
});
