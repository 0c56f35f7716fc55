import { Worker, type WorkerOptions } from 'node:worker_threads';

/**
 * Starts a worker thread of `src/workers`. In a bundle its file is next to the server's file. When run from source, the
 * same loader as for the tests loads it.
 *
 * @param name the name of its file without the extension
 */
export function startWorker(name: string, options: Pick<WorkerOptions, 'workerData'> = {}): Worker {
  const here = import.meta.url;
  if (!here.endsWith('.ts')) return new Worker(new URL(`${name}.js`, here), { ...options, execArgv: [] });
  const source = new URL(`../workers/${name}.ts`, here).href;
  const load = `import('tsx/esm/api').then(({ register }) => (register(), import('${source}')))`;
  return new Worker(load, { ...options, execArgv: [], eval: true });
}
