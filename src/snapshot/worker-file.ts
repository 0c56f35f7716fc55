import { existsSync } from 'node:fs';
import { Worker, type WorkerOptions } from 'node:worker_threads';

const names = { bundled: 'snapshot-worker.js', source: '../workers/snapshot-worker.ts' } as const;

/**
 * Starts the worker that reads and writes snapshots. In a bundle its file is next to the server's file; this code may
 * be in a chunk one folder below. When run from source, the same loader as for the tests loads it.
 */
export function startSnapshotWorker(workerData: unknown): Worker {
  const here = import.meta.url;
  const options: WorkerOptions = { workerData, execArgv: [] };
  if (here.endsWith('.ts')) {
    const source = new URL(names.source, here).href;
    const load = `import('tsx/esm/api').then(({ register }) => (register(), import('${source}')))`;
    return new Worker(load, { ...options, eval: true });
  }
  const beside = new URL(names.bundled, here);
  return new Worker(existsSync(beside) ? beside : new URL(`../${names.bundled}`, here), options);
}
