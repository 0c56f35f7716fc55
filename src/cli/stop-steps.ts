import { setTimeout as delay } from 'node:timers/promises';
import { reasonOf } from '../lib/text.ts';
import type { Logger } from '../ports/logger.ts';

/** One step of the shutdown, with its timeout. */
export interface StopStep {
  /** For the log. */
  readonly name: string;
  /** Milliseconds after which the shutdown continues without waiting for this step. */
  readonly limitMs: number;
  readonly run: () => Promise<void> | void;
}

/**
 * Runs the steps of the shutdown one after another. No step can block the shutdown: if it fails or exceeds its limit,
 * that is logged, and the next step starts. This is safe, because all acknowledged data is synced.
 */
export async function runStopSteps(steps: readonly StopStep[], logger: Logger): Promise<void> {
  for (const { name, limitMs, run } of steps) {
    const limit = new AbortController();
    const tooLong = delay(limitMs, true, { signal: limit.signal }).catch(() => false);
    try {
      const done = Promise.resolve(run()).then(() => false);
      if (await Promise.race([done, tooLong]))
        logger.warn('a shutdown step timed out; continuing without it', {
          step: name,
          'limit-ms': limitMs,
        });
      done.catch(() => undefined);
    } catch (error) {
      logger.warn('a shutdown step failed', {
        step: name,
        error: reasonOf(error),
      });
    } finally {
      limit.abort();
    }
  }
}
