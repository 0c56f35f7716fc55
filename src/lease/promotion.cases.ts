import { beforeEach, describe, expect, it, vi } from 'vitest';
import { MemoryEngine } from '../storage/memory-engine.ts';
import { Lessor } from './lessor.ts';
import { promoteWholly, TestClock } from './testing/test-clock.ts';
import { TimedQueue } from './timed-queue.ts';

/** Promotions of a lessor that has this many leases. */
export function promotionCases(many: bigint): void {
  describe('a promotion with many leases', () => {
    let clock: TestClock;
    beforeEach(() => (clock = new TestClock()));

    function withMany(): Lessor {
      const lessor = new Lessor({ engine: new MemoryEngine(), clock, minTtl: 2, checkpoints: true });
      // TTLs from two seconds to an hour, in random order.
      for (let id = 1n; id <= many; id++) lessor.grant(id, 2 + ((Number(id) * 7919) % 3600));
      return lessor;
    }

    it('schedules few leases in a step, and removes none by one in a demotion', () => {
      const lessor = withMany();
      const added = vi.spyOn(TimedQueue.prototype, 'add');
      const removed = vi.spyOn(TimedQueue.prototype, 'remove');
      let [steps, scheduled] = [0, 0];
      for (let isDone = lessor.promote(0); !isDone; isDone = lessor.promoteMore()) {
        // An expiry for each lease, and a checkpoint for a long one.
        expect(added.mock.calls.length).toBeLessThanOrEqual(2 * 4096);
        scheduled += added.mock.calls.length;
        added.mockClear();
        steps += 1;
      }
      scheduled += added.mock.calls.length;
      // Each lease is visited twice: to group it, and to schedule it.
      expect(steps).toBeGreaterThanOrEqual(Math.floor((2 * Number(many)) / 4096));
      expect(scheduled).toBeGreaterThan(Number(many));
      lessor.demote();
      expect(removed).not.toHaveBeenCalled();
      vi.restoreAllMocks();
    });

    it('gives leases that it has not visited their time from its start, and allows to renew and remove them', () => {
      const lessor = withMany();
      const [late, renewed, removed] = [many, many - 1n, many - 2n];
      expect(lessor.promote(1000)).toBe(false);
      const ttl = (id: bigint): number => lessor.lookup(id)?.ttl ?? NaN;
      expect(lessor.remainingMs(late)).toBe(1000 + 1000 * ttl(late));
      clock.ms += 500;
      expect(lessor.remainingMs(late)).toBe(500 + 1000 * ttl(late));
      expect(lessor.renew(renewed)).toEqual({ ttl: ttl(renewed) });
      lessor.remove(removed);
      lessor.grant(many + 1n, 5);
      while (!lessor.promoteMore());
      expect(lessor.remainingMs(renewed)).toBe(1000 * ttl(renewed));
      expect(lessor.remainingMs(late)).toBe(500 + 1000 * ttl(late));
      expect(lessor.remainingMs(removed)).toBeUndefined();
      clock.ms += 4_000_000;
      const expired = new Set<bigint>();
      for (;;) {
        const ids = lessor.expired(10_000);
        if (ids.length === 0) break;
        for (const id of ids) expired.add(id);
      }
      expect(expired.size).toBe(Number(many));
      expect(expired.has(removed)).toBe(false);
    });

    it('ends with a demotion and starts again with the next promotion', () => {
      const lessor = withMany();
      lessor.promote(0);
      lessor.promoteMore();
      lessor.demote();
      expect(lessor.promoteMore()).toBe(true);
      expect(lessor.remainingMs(many)).toBe(Number.POSITIVE_INFINITY);
      clock.ms += 10_000;
      promoteWholly(lessor);
      expect(lessor.remainingMs(1n)).toBe(1000 * (lessor.lookup(1n)?.ttl ?? NaN));
      expect(lessor.expired()).toEqual([]);
    });
  });
}
