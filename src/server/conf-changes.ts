import type { ConfChangeResult } from '../apply/apply-listener.ts';
import type { ClusterMember } from '../membership/member.ts';
import type { ConfChange } from '../raft/types.ts';
import { EtcdError, errors, GrpcCode } from '../wire/errors.ts';
import type { Member } from './member.ts';

interface PendingChange {
  readonly settled: (members: readonly ClusterMember[]) => void;
  readonly failed: (error: EtcdError) => void;
  readonly cancelTimeout: () => void;
}

/** Proposed membership changes, with the callers that wait for them. */
export class ConfChanges {
  readonly #member: Member;
  readonly #pending = new Map<bigint, PendingChange>();
  readonly #observers: ((result: ConfChangeResult) => void)[] = [];

  constructor(member: Member) {
    this.#member = member;
  }

  /** Registers an observer of each applied change. The peer transport uses it to connect and disconnect. */
  onApplied(observer: (result: ConfChangeResult) => void): void {
    this.#observers.push(observer);
  }

  /** Rejects with etcd's error. After a timeout the outcome is unknown. @param change without an id */
  propose(change: Omit<ConfChange, 'id'>): Promise<readonly ClusterMember[]> {
    const member = this.#member;
    const id = member.ids.full(member.ids.next());
    return new Promise((resolve, reject) => {
      const cancelTimeout = member.scheduler.after(member.config.requestTimeoutMs, () => {
        this.#pending.delete(id);
        reject(errors.Timeout);
      });
      this.#pending.set(id, { settled: resolve, failed: reject, cancelTimeout });
      member.consensus.proposeConfChange({ ...change, id }, (reason) => {
        cancelTimeout();
        this.#pending.delete(id);
        reject(new EtcdError(GrpcCode.Unknown, reason));
      });
    });
  }

  applied(result: ConfChangeResult): void {
    for (const observer of this.#observers) observer(result);
    const pending = this.#pending.get(result.id);
    if (pending === undefined) return;
    this.#pending.delete(result.id);
    pending.cancelTimeout();
    if (result.error === undefined) pending.settled(result.members);
    else pending.failed(result.error);
  }
}
