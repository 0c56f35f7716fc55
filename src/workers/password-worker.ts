/** Worker thread: hashes and compares passwords with bcrypt, one at a time. */
import { parentPort } from 'node:worker_threads';
import { runPasswordTask } from '../api/auth/password-task.ts';
import type { PasswordTask } from '../api/auth/password-task.ts';
import { assert } from '../lib/assert.ts';
import { lowerPriority } from './thread/lower-priority.ts';

/** The lowest priority of all threads: many logins must not delay other work. */
const NICENESS = 10;

const port = parentPort;
assert(port !== null, 'the password worker runs as a worker thread');
port.on('message', (task: PasswordTask) => port.postMessage(runPasswordTask(task)));

lowerPriority(NICENESS);
