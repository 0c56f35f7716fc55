import { existsSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

const names = { bundled: 'password-worker.js', source: '../../workers/password-worker.ts' } as const;

/**
 * Starts the worker that hashes passwords. In a bundle its file is next to the server's file; this code may be in a
 * chunk one folder below. When run from source, the same loader as for the tests loads it.
 */
export function startPasswordWorker(): Worker {
  const here = import.meta.url;
  if (here.endsWith('.ts')) {
    const source = new URL(names.source, here).href;
    const load = `import('tsx/esm/api').then(({ register }) => (register(), import('${source}')))`;
    return new Worker(load, { execArgv: [], eval: true });
  }
  const beside = new URL(names.bundled, here);
  return new Worker(existsSync(beside) ? beside : new URL(`../${names.bundled}`, here), { execArgv: [] });
}
