import { HashJob, hashScope, type HashScope, type StoreHash } from '../mvcc/hash.ts';
import type { Histogram } from '../metrics/histogram.ts';
import type { MvccStore } from '../mvcc/store.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import { errors } from '../wire/errors.ts';
import type { Member } from './member.ts';

const ROWS_PER_SLICE = 500;

/** Hashes the rows of a scope. `opened` is called as soon as a compaction may remove rows again. */
export type HashRows = (scope: HashScope, opened: () => void) => Promise<StoreHash>;

/**
 * Computes etcd's HashKV of the store. Rejects with Compacted or FutureRev for a revision that the store does not have.
 *
 * @param revision 0 means the present revision
 * @param turn waits for a free slot, when the number of concurrent hashes is limited
 * @param durations records the seconds of the computation, without the wait
 */
export async function hashStore(
  member: Member,
  revision: number,
  turn?: () => Promise<{ readonly release: () => void }>,
  durations: Histogram = member.metrics.mvcc.hashRevDuration,
): Promise<StoreHash> {
  const { store, compactor, clock } = member;
  const refuse = (): void => {
    if (revision > store.revision) throw errors.FutureRev;
    if (revision > 0 && revision < store.compactRevision) throw errors.Compacted;
  };
  const known = compactor.hashes.get(revision);
  if (known !== undefined) return known;
  refuse();
  const slot = await turn?.();
  try {
    // A compaction may have removed the revision while this request waited.
    refuse();
    const startedMs = clock.now();
    const { release } = compactor.hold(0);
    const hash = await member.hashRows(hashScope(store, revision), release).finally(release);
    durations.observe((clock.now() - startedMs) / 1000);
    return hash;
  } finally {
    slot?.release();
  }
}

/** A larger store is hashed by a worker thread. */
const MAX_LOCAL_HASH_BYTES = 4 * 1024 * 1024;

/** A small store is hashed on this thread, in slices. A large one is hashed by a worker, if there is one. */
export function chooseHash(
  store: MvccStore,
  scheduler: Scheduler,
  hashInWorker: HashRows | undefined,
): HashRows {
  const hashHere = hashInSlices(scheduler);
  return (scope, opened) => {
    const isLarge = store.sizeBytes > MAX_LOCAL_HASH_BYTES;
    return isLarge && hashInWorker !== undefined ? hashInWorker(scope, opened) : hashHere(scope, opened);
  };
}

/** Hashes on this thread, in slices between other work. */
export function hashInSlices(scheduler: Scheduler): HashRows {
  return (scope, opened) =>
    new Promise((resolve, reject) => {
      const job = new HashJob(scope);
      opened();
      const step = (): void => {
        try {
          if (job.step(ROWS_PER_SLICE)) resolve(job.result());
          else scheduler.soon(step);
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      step();
    });
}
