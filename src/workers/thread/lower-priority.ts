import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';

/** The lowest priority. */
const NICENESS = 19;

/** Lowers the priority of the calling thread, where the system allows it. */
export function lowerPriority(niceness: number = NICENESS): void {
  try {
    // Linux has priorities per thread and gives the thread's ID here. On other systems the priority stays.
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    if (Number.isInteger(thread)) setPriority(thread, niceness);
  } catch {
    // The thread works without it.
  }
}
