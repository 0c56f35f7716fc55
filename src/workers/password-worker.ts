/** Worker thread: makes and compares bcrypt hashes, one at a time. */
import { parentPort } from 'node:worker_threads';
import { runPasswordTask } from '../api/auth/password-task.ts';
import type { PasswordTask } from '../api/auth/password-task.ts';
import { assert } from '../lib/assert.ts';
import { stayBehindOthers } from './thread/behind-others.ts';

/** Behind everything else: a flood of logins takes the time that is left over. */
const NICENESS = 10;

const port = parentPort;
assert(port !== null, 'the password worker runs as a worker thread');
port.on('message', (task: PasswordTask) => port.postMessage(runPasswordTask(task)));

stayBehindOthers(NICENESS);
