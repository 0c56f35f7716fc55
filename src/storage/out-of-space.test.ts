import { expect, it } from 'vitest';
import { isOutOfSpace } from './out-of-space.ts';

// A used-up quota was taken for a broken disk, as Node.js gives it no name.
it.each([
  [{ code: 'ENOSPC', errno: -28 }, true],
  [{ code: 'Unknown system error -122', errno: -122 }, true],
  [{ code: 'EIO', errno: -5 }, false],
  [{}, false],
])('%o: %s', (fields, expected) => {
  expect(isOutOfSpace(Object.assign(new Error('write'), fields))).toBe(expected);
});
