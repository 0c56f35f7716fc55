import { expect, it } from 'vitest';
import { SeededRandom } from './seeded-random.ts';

it('the same seed gives the same sequence, another seed another one', () => {
  const draw = (seed: number): number[] => {
    const random = new SeededRandom(seed);
    return Array.from({ length: 8 }, () => random.uint32());
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
});

it('numbers are evenly distributed and in range', () => {
  const random = new SeededRandom(1);
  const counts = new Array<number>(10).fill(0);
  for (let i = 0; i < 100_000; i += 1) counts[random.int(10)]! += 1;
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
  for (let i = 0; i < 1000; i += 1) expect(random.between(-3, 3)).toBeOneOf([-3, -2, -1, 0, 1, 2, 3]);
});

it('shuffling keeps the items', () => {
  const items = Array.from({ length: 50 }, (_, i) => i);
  const shuffled = new SeededRandom(3).shuffle([...items]);
  expect(shuffled).not.toEqual(items);
  expect(shuffled.sort((a, b) => a - b)).toEqual(items);
});
