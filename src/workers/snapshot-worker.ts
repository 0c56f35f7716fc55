/** Worker thread: exports a store as a snapshot file, imports a snapshot file into a store, or hashes a store. */
import { parentPort, workerData } from 'node:worker_threads';
import { defined } from '../lib/assert.ts';
import { runExport } from '../snapshot/export-task.ts';
import { runHash } from '../snapshot/hash-task.ts';
import { importFile } from '../snapshot/import-task.ts';
import type { ImportMessage, WorkerTask } from '../snapshot/worker-messages.ts';
import { RocksEngine } from '../storage/rocks-engine.ts';
import { RocksReader } from '../storage/rocks-reader.ts';
import { lowerPriority } from './thread/lower-priority.ts';
import { ConfState } from '../wire/gen/raftpb.ts';

const task = workerData as WorkerTask;
const port = defined(parentPort, 'the snapshot worker runs as a worker thread');

/**
 * A snapshot takes seconds of work, and clients must be served meanwhile. With a lower priority it might never
 * finish.
 */
const SNAPSHOT_NICENESS = 5;

if (task.kind === 'export') {
  lowerPriority(SNAPSHOT_NICENESS);
  runExport(RocksReader.attach(task.sharedHandle).view(), task.chunkBytes, port);
} else if (task.kind === 'hash') {
  lowerPriority();
  runHash(task, RocksReader.attach(task.sharedHandle), port);
} else {
  lowerPriority(SNAPSHOT_NICENESS);
  // A rejection ends the thread. The server gets it as the worker's error.
  void runImport(task);
}

async function runImport({
  file,
  directory,
  skipChecksum,
  fallback,
}: Extract<WorkerTask, { kind: 'import' }>): Promise<void> {
  const send = (message: ImportMessage): void => port.postMessage(message);
  const engine = await RocksEngine.open(directory);
  try {
    const { confState, ...state } = importFile({
      file,
      engine,
      skipChecksum,
      fallback:
        fallback === undefined
          ? undefined
          : { term: fallback.term, confState: ConfState.decode(fallback.confState) },
      onProgress: (events) => send({ type: 'progress', events }),
    });
    await engine.syncLog();
    await engine.close();
    send({
      type: 'imported',
      state,
      confState: confState === undefined ? undefined : ConfState.encode(confState),
    });
  } catch (error) {
    await engine.close();
    throw error;
  }
}
