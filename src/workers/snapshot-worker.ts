/** Worker thread: reads a store into a snapshot file's bytes, or a snapshot file into a store. */
import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../lib/assert.ts';
import { runExport } from '../snapshot/export-task.ts';
import type { WorkerTask } from '../snapshot/worker-messages.ts';
import { RocksReader } from '../storage/rocks-reader.ts';

const task = workerData as WorkerTask;
assert(parentPort !== null, 'the snapshot worker runs as a worker thread');
if (task.kind === 'export')
  runExport(RocksReader.attach(task.sharedHandle).view(), task.chunkBytes, parentPort);
