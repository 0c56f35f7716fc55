import { setMaxListeners } from 'node:events';
import { reasonOf } from '../../lib/text.ts';

/** The times of the requests that succeeded, and how many failed. */
export interface Measured {
  /** Milliseconds, in no order. */
  readonly timesMs: readonly number[];
  readonly failures: number;
  /** Texts of failures with their numbers. */
  readonly reasons: ReadonlyMap<string, number>;
  /** From the first request to the last response. */
  readonly seconds: number;
}

export interface Load {
  /** Requests that wait for a response at the same time. */
  readonly clients: number;
  readonly total: number;
  /** Requests begun per second; 0 for as fast as the responses come. */
  readonly rate: number;
  /** Ends the load early. */
  readonly signal: AbortSignal;
  readonly onProgress?: (done: number) => void;
}

/** Different texts of failures that are kept. */
const MAX_REASONS = 10;

/**
 * Sends `total` requests with `clients` of them at a time.
 *
 * With a rate, the time of a request is counted from when it should have begun, and not from when a client was free. So a
 * server that stands still for a second is seen in all requests of that second.
 *
 * @param request sends the request with this number, from 0 on, as one of the clients
 */
export async function measure(
  request: (number: number, client: number) => Promise<unknown>,
  { clients, total, rate, signal, onProgress }: Load,
): Promise<Measured> {
  const timesMs: number[] = [];
  const reasons = new Map<string, number>();
  let failures = 0;
  let next = 0;
  const began = performance.now();
  if (rate > 0) setMaxListeners(clients, signal);
  const work = async (client: number): Promise<void> => {
    while (next < total && !signal.aborted) {
      const number = next++;
      let startedMs = performance.now();
      if (rate > 0) {
        const plannedMs = began + (number * 1000) / rate;
        if (plannedMs > startedMs && !(await comes(plannedMs, signal))) return;
        startedMs = plannedMs;
      }
      try {
        await request(number, client);
        timesMs.push(performance.now() - startedMs);
      } catch (error) {
        failures += 1;
        const text = reasonOf(error);
        if (reasons.has(text) || reasons.size < MAX_REASONS) reasons.set(text, (reasons.get(text) ?? 0) + 1);
      }
      onProgress?.(timesMs.length + failures);
    }
  };
  await Promise.all(Array.from({ length: Math.min(clients, total) }, (_, client) => work(client)));
  return { timesMs, failures, reasons, seconds: (performance.now() - began) / 1000 };
}

/** Waits for a time of the monotonic clock. @returns false if the signal is aborted before */
function comes(atMs: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve(!signal.aborted);
    };
    const timer = setTimeout(done, atMs - performance.now());
    signal.addEventListener('abort', done);
  });
}

/** The value below which this share of the sorted values is. 0 if there are none. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0;
}
