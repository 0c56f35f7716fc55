import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { sha1 } from './sha1.ts';

describe('sha1', () => {
  it.each([0, 1, 3, 55, 56, 63, 64, 65, 119, 120, 1000])('equals the reference for %i bytes', (length) => {
    const message = Buffer.from(Array.from({ length }, (_, i) => (i * 7 + length) & 0xff));
    expect(sha1(message)).toEqual(createHash('sha1').update(message).digest());
  });
});
