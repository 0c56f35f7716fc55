import type { HashScope, StoreHash } from '../mvcc/hash.ts';
import type { SharedStore } from '../ports/store-view.ts';
import { startWorker } from '../threads/start-worker.ts';
import type { HashMessage, WorkerTask } from './worker-messages.ts';

/**
 * Hashes a store on a worker thread. `opened` is called when the worker has its own view, so that rows may be
 * removed. Rejects if the store is closed meanwhile.
 */
export async function hashInWorker(
  store: SharedStore,
  { revision, compactRevision, finishedRevision, isCompaction = false }: HashScope,
  opened: () => void,
): Promise<StoreHash> {
  const loan = store.lend(async () => {
    await worker.terminate();
  });
  const task: WorkerTask = {
    kind: 'hash',
    sharedHandle: loan.handle,
    revision,
    compactRevision,
    finishedRevision,
    isCompaction,
  };
  const worker = startWorker('snapshot-worker', { workerData: task });
  try {
    return await new Promise<StoreHash>((resolve, reject) => {
      worker.on('message', (message: HashMessage) => {
        if (message.type === 'opened') opened();
        else resolve(message.hash);
      });
      worker.on('error', reject);
      worker.on('exit', () => reject(new Error('the hash was interrupted')));
    });
  } finally {
    await worker.terminate();
    loan.giveBack();
  }
}
