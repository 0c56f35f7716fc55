import { expect } from 'vitest';

/*
 * Compares buffers by their bytes at once. Without this, vitest compares them as objects, property by property,
 * which took most of the time of the tests that compare long values.
 */
expect.addEqualityTesters([
  (a: unknown, b: unknown): boolean | undefined =>
    Buffer.isBuffer(a) && Buffer.isBuffer(b) ? a.equals(b) : undefined,
]);
