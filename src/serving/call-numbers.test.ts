import { expect, it } from 'vitest';
import { CallNumbers } from './call-numbers.ts';

it('numbers of calls rise when ids return', () => {
  const numbers = new CallNumbers();
  expect([1, 2, 5].map((id) => numbers.begin(id))).toEqual([1, 2, 5]);
  expect(numbers.of(2)).toBe(2);
  for (let round = 1; round <= 3; round++) {
    const from = round * 2 ** 32;
    expect(numbers.begin(0xffff_ffff)).toBe(from - 1);
    expect(numbers.begin(0)).toBe(from);
    expect(numbers.begin(7)).toBe(from + 7);
    expect(numbers.of(0xffff_ffff)).toBe(from - 1);
    expect(numbers.of(7)).toBe(from + 7);
  }
});
