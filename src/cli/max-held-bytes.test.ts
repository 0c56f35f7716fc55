import { expect, it } from 'vitest';
import { maxHeldBytes } from './max-held-bytes.ts';

const GIB = 1024 ** 3;

it('the limit is as configured, or an eighth of the memory', () => {
  expect(maxHeldBytes({ maxHeldBytes: 7 }, 8 * GIB)).toBe(7);
  expect(maxHeldBytes({ maxHeldBytes: 0 }, 8 * GIB)).toBe(GIB);
  expect(maxHeldBytes({ maxHeldBytes: 0 }, GIB / 8)).toBe(GIB / 8);
  expect(maxHeldBytes({ maxHeldBytes: 0 })).toBeGreaterThanOrEqual(GIB / 8);
});
