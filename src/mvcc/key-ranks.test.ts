import { expect, it } from 'vitest';
import { KeyRanks } from './key-ranks.ts';

it('counts the keys that are created and deleted before each known key', () => {
  const ranks = new KeyRanks(4);
  ranks.add('m', 10);
  ranks.add('c', 3);
  ranks.change('b', 1);
  ranks.change('c', 1);
  ranks.change('x', 1);
  expect([ranks.get('c'), ranks.get('m'), ranks.get('x')]).toEqual([4, 12, undefined]);
  ranks.change('a', -1);
  expect([ranks.get('c'), ranks.get('m')]).toEqual([3, 11]);
});

it('drops the key that was not asked for longest when it is full', () => {
  const ranks = new KeyRanks(2);
  ranks.add('b', 1);
  ranks.add('a', 0);
  expect(ranks.get('b')).toBe(1);
  ranks.add('c', 2);
  expect([ranks.get('a'), ranks.get('b'), ranks.get('c')]).toEqual([undefined, 1, 2]);
});
