import { existsSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

const names = { bundled: 'password-worker.js', source: '../../workers/password-worker.ts' } as const;

/**
 * Starts the worker that hashes passwords. In a bundle it lies beside the server, which the code here may be a chunk
 * of, one folder below; run from its sources, it is loaded by the same loader as the tests are.
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
