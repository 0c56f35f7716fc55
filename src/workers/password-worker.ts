/** Worker thread: makes and compares bcrypt hashes, one at a time. */
import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { runPasswordTask } from '../api/auth/password-task.ts';
import type { PasswordTask } from '../api/auth/password-task.ts';
import { assert } from '../lib/assert.ts';

/** Behind everything else: a flood of logins takes the time that is left over. */
const NICENESS = 10;

const port = parentPort;
assert(port !== null, 'the password worker runs as a worker thread');
port.on('message', (task: PasswordTask) => port.postMessage(runPasswordTask(task)));

try {
  // Linux keeps priorities by thread and tells the thread its number here; elsewhere the priority stays.
  const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
  if (Number.isInteger(thread)) setPriority(thread, NICENESS);
} catch {
  // Hashing works all the same.
}
