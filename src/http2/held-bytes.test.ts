import { expect, test } from 'vitest';
import { HeldBytes } from './held-bytes.ts';

const MIB = 1024 * 1024;

test('who holds its share is too much once all hold more than allowed', () => {
  const held = new HeldBytes(10 * MIB);
  const [hoarder, other, idle] = [held.account(), held.account(), held.account()];
  other.add(2 * MIB);
  hoarder.add(8 * MIB);
  expect([hoarder.isTooMuch, other.isTooMuch, idle.isTooMuch]).toEqual([false, false, false]);
  hoarder.add(1);
  expect([hoarder.isTooMuch, other.isTooMuch, idle.isTooMuch]).toEqual([true, false, false]);
  hoarder.close();
  hoarder.add(5 * MIB);
  hoarder.remove(1);
  expect(held.total).toBe(2 * MIB);
  expect(other.isTooMuch).toBe(false);
  other.remove(2 * MIB);
  expect(held.total).toBe(0);
});

test('many that hold the same are all too much, and little never is', () => {
  const held = new HeldBytes(10 * MIB);
  const many = Array.from({ length: 11 }, () => held.account());
  for (const account of many) account.add(MIB);
  expect(many.every(({ isTooMuch }) => isTooMuch)).toBe(true);
  const few = new HeldBytes(1000);
  const account = few.account();
  account.add(2000);
  expect(account.isTooMuch).toBe(false);
});
