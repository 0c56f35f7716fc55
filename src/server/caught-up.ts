import { errors } from '../wire/errors.ts';
import type { Member } from './member.ts';

/** As etcd: how long a request waits for what is committed to be applied. */
const APPLY_TIMEOUT_MS = 1000;

/** Resolves once all that is committed now is applied. Rejects with TimeoutWaitAppliedIndex after a second. */
export function caughtUp(member: Member): Promise<void> {
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
