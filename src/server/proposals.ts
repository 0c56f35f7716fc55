import type { ApplyResult } from '../apply/results.ts';
import { type EtcdError, errors } from '../wire/errors.ts';
import { InternalRaftRequest } from '../wire/gen/etcdserverpb.ts';
import { TOO_MANY_REQUESTS } from './admission.ts';
import { LargeRequests } from './large-requests.ts';
import type { RequestIds } from './request-ids.ts';
import { encodeRaftRequest, type RaftRequestField, type RequestAuth } from './raft-request.ts';
import { type Waiter, PendingProposals } from './pending-proposals.ts';

const LOW_48_BITS = 0xffff_ffff_ffffn;

export type ResultWaiter = Waiter<ApplyResult>;

export interface ProposalsOptions {
  readonly ids: RequestIds;
  readonly now: () => number;
  readonly timeoutMs: number;
  /** Maximum bytes of requests in flight; above it new ones are refused. */
  readonly maxInflightBytes: number;
  /** Returns an error if a proposal of this kind and size cannot be accepted now. */
  readonly refusal: (field: RaftRequestField, bytes: number) => EtcdError | undefined;
  readonly propose: (data: Buffer) => void;
  /** Called when a request was answered or has timed out, with the seconds since its arrival. */
  readonly ended?: (field: RaftRequestField, seconds: number, isSettled: boolean) => void;
}

/**
 * Local requests that become log entries, with their ids and the callers that wait for their results. After a timeout
 * or the loss of the leader the result is unknown: the entry may still be applied.
 */
export class Proposals {
  readonly #options: ProposalsOptions;
  /** Number of proposals that failed or have an unknown outcome. */
  failed = 0;
  /** The last request that may have been sent to a leader that has died since. */
  #sentToDeadLeader: number | undefined;
  readonly #pending: PendingProposals<ApplyResult>;
  /** Small requests are limited by their number only. */
  readonly #large: LargeRequests;

  constructor(options: ProposalsOptions) {
    this.#options = options;
    const { ended, now, timeoutMs, maxInflightBytes } = options;
    this.#pending = new PendingProposals(
      ended &&
        ((field, deadlineMs, isSettled) => {
          ended(field as RaftRequestField, (now() - deadlineMs + timeoutMs) / 1000, isSettled);
        }),
    );
    this.#large = new LargeRequests(maxInflightBytes, (sequence) => this.#pending.has(sequence));
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** @param body the encoded request */
  propose(field: RaftRequestField, body: Buffer, auth: RequestAuth | undefined, waiter: ResultWaiter): void {
    const { ids, now, timeoutMs, refusal, propose } = this.#options;
    const sequence = ids.next();
    const data = encodeRaftRequest(field, body, ids.prefix, sequence, auth);
    const refused = this.#large.isFull(data.length) ? TOO_MANY_REQUESTS : refusal(field, data.length);
    if (refused !== undefined) {
      waiter.failed(refused);
      return;
    }
    this.#pending.register(sequence, field, now() + timeoutMs, waiter);
    this.#large.add(sequence, data.length, () => {
      // The disk may have become full while the request waited.
      const refusedNow = refusal(field, data.length);
      if (refusedNow === undefined) propose(data);
      else this.#pending.fail(sequence, refusedNow);
    });
  }

  /** Called for proposals that raft has dropped. They will never be applied, so their waiters fail. */
  dropped(datas: readonly Buffer[], error: Error): void {
    for (const data of datas) {
      const id = InternalRaftRequest.decode(data).header?.id ?? 0n;
      this.failed += 1;
      this.#pending.fail(Number(id & LOW_48_BITS), error);
      this.#large.done(Number(id & LOW_48_BITS));
    }
  }

  isWanted(prefix: number, sequence: number): boolean {
    return prefix === this.#options.ids.prefix && this.#pending.has(sequence);
  }

  take(sequence: number): ResultWaiter | undefined {
    const waiter = this.#pending.take(sequence);
    this.#large.done(sequence);
    return waiter;
  }

  expire(error: (startedAtMs: number) => Error): number {
    const { now, timeoutMs } = this.#options;
    const time = now();
    const expired = this.#pending.expire(time, () => error(time - timeoutMs));
    this.failed += expired;
    if (expired > 0) this.#large.sweep();
    return expired;
  }

  /**
   * Called when the leader's process is gone. A request that was sent to it is either in the log of the next leader at
   * the start of its term, or lost.
   */
  leaderGone(): void {
    this.#sentToDeadLeader = this.#options.ids.last;
  }

  /** Called when a leader has started its term and everything of earlier terms is applied. */
  termBegan(): void {
    if (this.#sentToDeadLeader === undefined) return;
    const lost = this.#sentToDeadLeader;
    this.#sentToDeadLeader = undefined;
    const isSent = (sequence: number): boolean => !this.#large.isHeld(sequence);
    this.failed += this.#pending.failUpTo(lost, errors.TimeoutDueToLeaderFail, isSent);
    this.#large.sweep();
  }

  failAll(error: Error): void {
    this.#pending.failAll(error);
    this.#large.sweep();
  }
}
