import { readdirSync, readFileSync } from 'node:fs';

/** Processor time of each thread of some processes, in nanoseconds by `pid/tid`. */
export type ThreadTimes = ReadonlyMap<string, number>;

/**
 * Reads the run time of each thread from the scheduler. The time of a thread that has ended is lost, so the servers must
 * keep their threads between two readings. Both etcd and Keystead do so under a steady load.
 */
export function threadTimes(pids: readonly number[]): ThreadTimes {
  const times = new Map<string, number>();
  for (const pid of pids)
    for (const tid of readdirSync(`/proc/${pid}/task`)) {
      try {
        const [ran] = readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ');
        times.set(`${pid}/${tid}`, Number(ran));
      } catch {
        // The thread has ended.
      }
    }
  return times;
}

export interface ProcessorTime {
  /** Microseconds over all threads. */
  readonly allUs: number;
  /** Microseconds of the thread that ran most. */
  readonly busiestUs: number;
}

/** Returns the run time between two readings. */
export function ranBetween(before: ThreadTimes, after: ThreadTimes): ProcessorTime {
  let all = 0;
  let busiest = 0;
  for (const [thread, time] of after) {
    const ran = time - (before.get(thread) ?? 0);
    all += ran;
    busiest = Math.max(busiest, ran);
  }
  return { allUs: all / 1000, busiestUs: busiest / 1000 };
}
