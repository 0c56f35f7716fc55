import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';

/** The least a thread may ask for. */
const NICENESS = 19;

/** Has the calling thread get only the time that the others leave over, where the system can do that. */
export function stayBehindOthers(niceness: number = NICENESS): void {
  try {
    // Linux keeps priorities by thread and tells the thread its number here; elsewhere the priority stays.
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    if (Number.isInteger(thread)) setPriority(thread, niceness);
  } catch {
    // The work is done all the same.
  }
}
