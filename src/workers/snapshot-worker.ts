/** Worker thread: reads a store into a snapshot file's bytes, a snapshot file into a store, or hashes a store. */
import { parentPort, workerData } from 'node:worker_threads';
import { defined } from '../lib/assert.ts';
import { runExport } from '../snapshot/export-task.ts';
import { runHash } from '../snapshot/hash-task.ts';
import { importFile } from '../snapshot/import-task.ts';
import type { ImportMessage, WorkerTask } from '../snapshot/worker-messages.ts';
import { RocksEngine } from '../storage/rocks-engine.ts';
import { RocksReader } from '../storage/rocks-reader.ts';
import { stayBehindOthers } from './thread/behind-others.ts';
import { ConfState } from '../wire/gen/raftpb.ts';

const task = workerData as WorkerTask;
const port = defined(parentPort, 'the snapshot worker runs as a worker thread');

/** Snapshots take seconds of work, and clients are served meanwhile; starved altogether they would never be done. */
const SNAPSHOT_NICENESS = 5;

if (task.kind === 'export') {
  stayBehindOthers(SNAPSHOT_NICENESS);
  runExport(RocksReader.attach(task.sharedHandle).view(), task.chunkBytes, port);
} else if (task.kind === 'hash') {
  stayBehindOthers();
  runHash(task, RocksReader.attach(task.sharedHandle), port);
} else {
  stayBehindOthers(SNAPSHOT_NICENESS);
  // What it rejects with ends the thread, and reaches the server as the worker's error.
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
