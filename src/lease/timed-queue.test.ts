import { describe, expect, test } from 'vitest';
import { TimedQueue } from './timed-queue.ts';

describe('TimedQueue', () => {
  test('gives the earliest first through sets, moves and deletes', () => {
    const queue = new TimedQueue();
    const times = new Map<bigint, number>();
    let seed = 7;
    const next = (): number => (seed = (seed * 48271) % 2147483647);
    for (let step = 0; step < 5000; step++) {
      const id = BigInt(next() % 100);
      if (next() % 4 === 0) {
        queue.delete(id);
        times.delete(id);
      } else {
        const time = next() % 1000;
        queue.set(id, time);
        times.set(id, time);
      }
      expect(queue.size).toBe(times.size);
      if (times.size > 0) expect(queue.peek()?.time).toBe(Math.min(...times.values()));
    }
  });
});
