import { openSync, readSync } from 'node:fs';
import type { ThreadTimes } from '../../ports/log-disk.ts';

/** Linux: nanoseconds that the thread ran, and that it waited for a processor, and the number of its time slices. */
const SCHEDULER_STATISTICS = '/proc/thread-self/schedstat';
const text = Buffer.alloc(128);
/** Undefined before the first read, null where there are no statistics. */
let statistics: number | null | undefined;

function openStatistics(): number | null {
  try {
    return openSync(SCHEDULER_STATISTICS, 'r');
  } catch {
    return null;
  }
}

/** Takes about 2 microseconds. */
function waitedForProcessor(): number {
  if (statistics === undefined) statistics = openStatistics();
  if (statistics === null) return 0;
  const length = readSync(statistics, text, 0, text.length, 0);
  return Number(text.toString('latin1', 0, length).split(' ')[1]) / 1e6;
}

/** The times of this thread. */
export const threadTimes: ThreadTimes = {
  now: () => performance.now(),
  waitedForInput: () => performance.eventLoopUtilization().idle,
  waitedForProcessor,
};
