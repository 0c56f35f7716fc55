import { expect, it } from 'vitest';
import { HeldBytes } from './held-bytes.ts';

const MIB = 1024 * 1024;

it('an account that holds its share is over the limit when all together are', () => {
  const held = new HeldBytes(10 * MIB);
  const [large, other, idle] = [held.account(), held.account(), held.account()];
  other.add(2 * MIB);
  large.add(8 * MIB);
  expect([large.isTooMuch, other.isTooMuch, idle.isTooMuch]).toEqual([false, false, false]);
  large.add(1);
  expect([large.isTooMuch, other.isTooMuch, idle.isTooMuch]).toEqual([true, false, false]);
  large.close();
  large.add(5 * MIB);
  large.remove(1);
  expect(held.total).toBe(2 * MIB);
  expect(other.isTooMuch).toBe(false);
  other.remove(2 * MIB);
  expect(held.total).toBe(0);
});

it('accounts that hold the same are all over the limit, but never those that hold little', () => {
  const held = new HeldBytes(10 * MIB);
  const many = Array.from({ length: 11 }, () => held.account());
  for (const account of many) account.add(MIB);
  expect(many.every(({ isTooMuch }) => isTooMuch)).toBe(true);
  const few = new HeldBytes(1000);
  const account = few.account();
  account.add(2000);
  expect(account.isTooMuch).toBe(false);
});

it('the limit is for all threads together', () => {
  const cells = new Float64Array(new SharedArrayBuffer(4 * Float64Array.BYTES_PER_ELEMENT));
  const [first, second] = [0, 1].map((thread) => new HeldBytes(10 * MIB, { cells, thread }));
  const [large, other, little] = [first!.account(), second!.account(), second!.account()];
  large.add(6 * MIB);
  little.add(1);
  expect(large.isTooMuch).toBe(false);
  other.add(5 * MIB);
  expect([large.isTooMuch, other.isTooMuch, little.isTooMuch]).toEqual([true, true, false]);
  large.close();
  expect(other.isTooMuch).toBe(false);
});
