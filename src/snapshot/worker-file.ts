import { existsSync } from 'node:fs';
import { Worker, type WorkerOptions } from 'node:worker_threads';

const names = { bundled: 'snapshot-worker.js', source: '../workers/snapshot-worker.ts' } as const;

/**
 * Starts the worker that reads and writes snapshots. In a bundle it lies beside the server, which the code here may
 * be a chunk of, one folder below; run from its sources, it is loaded by the same loader as the tests are.
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
