import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Flushable, FlushScheduler, MAX_POSTPONED_MS } from './flush-scheduler.ts';

describe('FlushScheduler', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setImmediate', 'setTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  const start = (): { scheduler: FlushScheduler; connection: Flushable; flush: () => void } => {
    const flush = vi.fn();
    return {
      scheduler: new FlushScheduler(),
      connection: { flushScheduled: false, flushPostponed: false, flush },
      flush,
    };
  };

  it('frames that are postponed are sent with the next ones', () => {
    const { scheduler, connection, flush } = start();
    scheduler.postpone(connection);
    scheduler.flushAll();
    vi.advanceTimersByTime(MAX_POSTPONED_MS - 1);
    expect(flush).toHaveBeenCalledTimes(0);
    scheduler.schedule(connection);
    scheduler.flushAll();
    expect(flush).toHaveBeenCalledTimes(1);
  });

  it('frames that are postponed are sent in time if there are no others', () => {
    const { scheduler, connection, flush } = start();
    for (let round = 1; round <= 2; round++) {
      scheduler.postpone(connection);
      scheduler.postpone(connection);
      vi.advanceTimersByTime(MAX_POSTPONED_MS);
      expect(flush).toHaveBeenCalledTimes(round);
    }
  });
});
