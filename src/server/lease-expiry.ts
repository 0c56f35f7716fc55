import { isError } from '../apply/results.ts';
import { ROOT_USER } from '../auth/auth-store.ts';
import { LESSOR_LOOP_MS } from '../lease/lessor.ts';
import type { Logger } from '../ports/logger.ts';
import { LeaseCheckpointRequest, LeaseRevokeRequest } from '../wire/gen/etcdserverpb.ts';
import type { Member } from './member.ts';
import { RaftRequestField } from './raft-request.ts';

/** Maximum number of proposed revocations that are not applied yet. */
const MAX_REVOKING = 512;

/** As leader, revokes expired leases and writes checkpoints of the remaining TTL of the others. */
export class LeaseExpiry {
  readonly #member: Member;
  readonly #logger: Logger;
  readonly #stop: () => void;
  #revoking = 0;

  constructor(member: Member, logger: Logger) {
    this.#member = member;
    this.#logger = logger;
    this.#stop = member.scheduler.every(LESSOR_LOOP_MS, () => this.#check());
  }

  stop(): void {
    this.#stop();
  }

  #check(): void {
    const { lessor } = this.#member;
    if (!this.#member.isLeader || !lessor.isPrimary || this.#member.isReopening) return;
    // A proposal of a former leader is forwarded to the present one, which may have renewed the lease in between.
    if (!this.#member.leadership.isSure) {
      void this.#member.leadership.ensure();
      return;
    }
    const room = MAX_REVOKING - this.#revoking;
    if (room > 0) for (const id of lessor.expired(room)) this.#revoke(id);
    const due = lessor.dueCheckpoints();
    if (due.length === 0) return;
    const body = LeaseCheckpointRequest.encode({ checkpoints: due });
    const ignore = (): void => undefined;
    this.#member.propose(RaftRequestField.leaseCheckpoint, body, undefined, {
      settled: ignore,
      failed: ignore,
    });
  }

  #revoke(id: bigint): void {
    const { auth, metrics } = this.#member;
    const who = auth.isEnabled ? { username: ROOT_USER, revision: auth.revision } : undefined;
    const failed = (error: Error): void => {
      this.#revoking -= 1;
      // The next check retries it as long as the lease exists.
      this.#logger.warn('failed to revoke lease', {
        'lease-id': id.toString(16).padStart(16, '0'),
        error: error.message,
      });
    };
    this.#revoking += 1;
    this.#member.propose(RaftRequestField.leaseRevoke, LeaseRevokeRequest.encode({ id }), who, {
      settled: (result) => {
        if (isError(result)) {
          failed(result);
          return;
        }
        this.#revoking -= 1;
        metrics.server.leaseExpired++;
      },
      failed,
    });
  }
}
