import { HashJob, type StoreHash } from '../mvcc/hash.ts';
import { errors } from '../wire/errors.ts';
import type { Member } from './member.ts';

const ROWS_PER_SLICE = 1000;

/**
 * etcd's HashKV of the store, in slices between other work.
 *
 * @param revision 0 for the present. Rejects with Compacted or FutureRev where it cannot be had.
 */
export function hashStore(member: Member, revision: number): Promise<StoreHash> {
  const { store, compactor, scheduler } = member;
  return new Promise((resolve, reject) => {
    if (revision > store.revision) {
      reject(errors.FutureRev);
      return;
    }
    if (revision > 0 && revision < store.compactRevision) {
      reject(errors.Compacted);
      return;
    }
    const job = new HashJob(store, revision);
    const release = compactor.hold();
    const step = (): void => {
      try {
        if (!job.step(ROWS_PER_SLICE)) {
          scheduler.soon(step);
          return;
        }
        resolve(job.result());
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
      release();
    };
    step();
  });
}
