import { expect, it, vi } from 'vitest';
import { SeededRandom } from '../lib/seeded-random.ts';
import { DeadlineWheel, type WheelEntry } from './deadline-wheel.ts';

class Entry implements WheelEntry {
  wheelNext: WheelEntry | undefined;
  wheelPrevious: WheelEntry | undefined;
  wheelSlot = -1;
  deadlineAt = 0;
  firedAt = -1;

  onDeadline(): void {
    expect(this.firedAt).toBe(-1);
    this.firedAt = performance.now();
  }
}

it('deadlines fire once, soon and never early, and removed ones never fire', async () => {
  const wheel = new DeadlineWheel(() => performance.now());
  const random = new SeededRandom(1);
  const start = performance.now();
  const entries = Array.from({ length: 2_000 }, () => new Entry());
  for (const entry of entries) wheel.add(entry, start + random.int(600) - 50);
  const removed = new Set(entries.filter(() => random.chance(0.5)));
  for (const entry of removed) wheel.remove(entry);
  for (const entry of removed) wheel.remove(entry);
  const kept = entries.filter((entry) => !removed.has(entry));
  await expect.poll(() => kept.every((entry) => entry.firedAt >= 0), { timeout: 5_000 }).toBe(true);
  for (const entry of kept) expect(entry.firedAt).toBeGreaterThanOrEqual(entry.deadlineAt);
  expect([...removed].every((entry) => entry.firedAt === -1)).toBe(true);
});

it('a deadline beyond one revolution of the wheel fires in the right one', () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  try {
    const wheel = new DeadlineWheel(() => performance.now());
    const near = new Entry();
    const far = new Entry();
    wheel.add(near, 1_000);
    wheel.add(far, 1_000 + 3 * 4_096);
    vi.advanceTimersByTime(999);
    expect(near.firedAt).toBe(-1);
    vi.advanceTimersByTime(10);
    expect(near.firedAt).toBeGreaterThanOrEqual(1_000);
    vi.advanceTimersByTime(3 * 4_096 - 10);
    expect(far.firedAt).toBe(-1);
    vi.advanceTimersByTime(20);
    expect(far.firedAt).toBeGreaterThanOrEqual(far.deadlineAt);
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
