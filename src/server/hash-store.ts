import { HashJob, hashScope, type HashScope, type StoreHash } from '../mvcc/hash.ts';
import type { Histogram } from '../metrics/histogram.ts';
import type { MvccStore } from '../mvcc/store.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import { errors } from '../wire/errors.ts';
import type { Member } from './member.ts';

const ROWS_PER_SLICE = 500;

/** Hashes what a scope holds; `opened` is called once rows may be removed. */
export type HashRows = (scope: HashScope, opened: () => void) => Promise<StoreHash>;

/**
 * etcd's HashKV of the store.
 *
 * @param revision 0 for the present. Rejects with Compacted or FutureRev where it cannot be had.
 * @param turn waits until the hash may be made, where their number is limited
 * @param durations takes the seconds of a hash that was not known already, without its wait
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
  const place = await turn?.();
  try {
    // Compactions do not wait for those who wait in line.
    refuse();
    const startedMs = clock.now();
    const { release } = compactor.hold(0);
    const hash = await member.hashRows(hashScope(store, revision), release).finally(release);
    durations.observe((clock.now() - startedMs) / 1000);
    return hash;
  } finally {
    place?.release();
  }
}

/** Beyond this, hashing takes long enough to start a thread for it. */
const HASH_HERE_BYTES = 4 * 1024 * 1024;

/** Little history is hashed here, in slices; much of it where that is no burden. */
export function chooseHash(
  store: MvccStore,
  scheduler: Scheduler,
  elsewhere: HashRows | undefined,
): HashRows {
  const here = hashInSlices(scheduler);
  return (scope, opened) => {
    const isMuch = store.sizeBytes > HASH_HERE_BYTES;
    return isMuch && elsewhere !== undefined ? elsewhere(scope, opened) : here(scope, opened);
  };
}

/** On this thread, in slices between other work. */
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
