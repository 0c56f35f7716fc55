import { errors } from '../wire/errors.ts';
import type { Member } from './member.ts';

/** As etcd: time that a request waits until the committed entries are applied. */
const APPLY_TIMEOUT_MS = 1000;

/** Waits until everything committed at the time of the call is applied. Rejects with TimeoutWaitAppliedIndex after 1 s. */
export function waitUntilApplied(member: Member): Promise<void> {
  const { committed } = member.consensus;
  if (member.applied.index >= committed) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const cancel = member.scheduler.after(APPLY_TIMEOUT_MS, () => {
      stop();
      reject(errors.TimeoutWaitAppliedIndex);
    });
    const stop = member.onTurn(() => {
      if (member.applied.index < committed) return;
      stop();
      cancel();
      resolve();
    });
  });
}
