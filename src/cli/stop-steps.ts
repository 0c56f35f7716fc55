import { setTimeout as delay } from 'node:timers/promises';
import { reasonOf } from '../lib/text.ts';
import type { Logger } from '../ports/logger.ts';

/** One thing to end, with the time it may take. */
export interface StopStep {
  /** For the log. */
  readonly name: string;
  /** Milliseconds after which the stop goes on without it. */
  readonly limitMs: number;
  readonly run: () => Promise<void> | void;
}

/**
 * Runs the steps of a stop one after another. None of them can keep the process: a step that fails or takes longer
 * than its limit is named in the log and left behind. What is acknowledged is synced, so that leaving is safe.
 */
export async function runStopSteps(steps: readonly StopStep[], logger: Logger): Promise<void> {
  for (const { name, limitMs, run } of steps) {
    const limit = new AbortController();
    const tooLong = delay(limitMs, true, { signal: limit.signal }).catch(() => false);
    try {
      const done = Promise.resolve(run()).then(() => false);
      if (await Promise.race([done, tooLong]))
        logger.warn('a step of the stop takes too long; going on without it', {
          step: name,
          'limit-ms': limitMs,
        });
      done.catch(() => undefined);
    } catch (error) {
      logger.warn('a step of the stop failed', {
        step: name,
        error: reasonOf(error),
      });
    } finally {
      limit.abort();
    }
  }
}
