// Loaded into every thread of a server: the first serving thread, or raft's thread, fails when the file named in the
// environment appears.
import { existsSync } from 'node:fs';
import { isMainThread, workerData } from 'node:worker_threads';

const fails =
  process.env.KEYSTEAD_TEST_FAULT_THREAD === 'raft'
    ? 'memberId' in (workerData ?? {})
    : workerData?.thread === 0;
if (!isMainThread && fails) {
  const timer = setInterval(() => {
    if (existsSync(process.env.KEYSTEAD_TEST_FAULT_FILE)) throw new Error('a planted fault');
  }, 20);
  timer.unref();
}
