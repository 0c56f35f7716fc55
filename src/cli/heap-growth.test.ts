import { expect, it } from 'vitest';
import { growthPercent } from './heap-growth.ts';

const MB = 2 ** 20;

it('leaves room for 64 MB of buffers beside a heap', () => {
  for (const heap of [10, 12, 16, 20, 30, 100]) {
    const roomMB = (heap * growthPercent(heap * MB)) / 100;
    expect(roomMB).toBeGreaterThanOrEqual(55);
    if (heap > 22) expect(roomMB).toBe(heap * 3);
    else expect(roomMB).toBeLessThanOrEqual(64);
  }
});

it('never lets a small heap grow without limit', () => {
  expect(growthPercent(1 * MB)).toBe(700);
  expect(growthPercent(64 * MB)).toBe(300);
  expect(growthPercent(4000 * MB)).toBe(300);
});
