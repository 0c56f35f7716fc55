import { describe, expect, it } from 'vitest';
import { type Slot, TimedQueue } from './timed-queue.ts';

describe('TimedQueue', () => {
  it('returns the earliest item first after adds, moves and removals', () => {
    const queue = new TimedQueue<number>();
    const slots = new Map<number, Slot<number>>();
    let seed = 7;
    const next = (): number => (seed = (seed * 48271) % 2147483647);
    for (let step = 0; step < 5000; step++) {
      const item = next() % 100;
      const slot = slots.get(item);
      if (next() % 4 === 0) {
        if (slot !== undefined) queue.remove(slot);
        slots.delete(item);
      } else {
        const time = next() % 1000;
        if (slot === undefined) slots.set(item, queue.add(item, time));
        else queue.move(slot, time);
      }
      expect(queue.size).toBe(slots.size);
      const times = [...slots.values()].map((each) => each.time);
      if (times.length > 0) expect(queue.peek()?.time).toBe(Math.min(...times));
    }
  });

  it('does not move an item that it does not hold', () => {
    const queue = new TimedQueue<number>();
    const slot = queue.add(1, 10);
    queue.clear();
    expect(() => queue.move(slot, 20)).toThrow('only an item that is queued');
    expect(() => queue.remove(slot)).toThrow('only an item that is queued');
  });
});
