// Loaded into every thread of a server: the first serving thread fails when the file named in the environment appears.
import { existsSync } from 'node:fs';
import { isMainThread, workerData } from 'node:worker_threads';

if (!isMainThread && workerData?.thread === 0) {
  const timer = setInterval(() => {
    if (existsSync(process.env.KEYSTEAD_TEST_FAULT_FILE)) throw new Error('a planted fault');
  }, 20);
  timer.unref();
}
