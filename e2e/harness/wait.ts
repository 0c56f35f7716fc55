import { setTimeout as sleep } from 'node:timers/promises';

export interface WaitOptions {
  /** Upper bound in milliseconds; the error then names what was awaited. */
  timeoutMs?: number;
  /** Pause between two attempts in milliseconds. */
  everyMs?: number;
}

/**
 * Calls `attempt` until it returns something other than `undefined` or `false`, and returns that. If it throws, it is
 * called again; after the timeout the last error becomes the cause.
 */
export async function eventually<T>(
  what: string,
  attempt: () => Promise<T | undefined | false> | T | undefined | false,
  { timeoutMs = 60_000, everyMs = 25 }: WaitOptions = {},
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const result = await attempt();
      if (result !== undefined && result !== false) return result;
    } catch (error) {
      if (error instanceof GiveUp) throw error;
      last = error;
    }
    if (Date.now() >= deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause: last });
    await sleep(everyMs);
  }
}

/** Thrown inside an attempt when waiting longer cannot help. */
export class GiveUp extends Error {}
