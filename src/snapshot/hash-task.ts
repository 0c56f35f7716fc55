import type { MessagePort } from 'node:worker_threads';
import { HashJob } from '../mvcc/hash.ts';
import type { Engine } from '../ports/engine.ts';
import type { HashMessage, WorkerTask } from './worker-messages.ts';

const ROWS_PER_STEP = 4096;

/** The worker's part of `hashInWorker`. */
export function runHash(
  task: Extract<WorkerTask, { kind: 'hash' }>,
  engine: Pick<Engine, 'iterate'>,
  port: MessagePort,
): void {
  const { revision, compactRevision, finishedRevision, isCompaction } = task;
  const send = (message: HashMessage): void => port.postMessage(message);
  const job = new HashJob({ engine, revision, compactRevision, finishedRevision, isCompaction });
  send({ type: 'opened' });
  while (!job.step(ROWS_PER_STEP));
  send({ type: 'hashed', hash: job.result() });
}
