import type { ApplyResult } from '../apply/results.ts';
import { type EtcdError, errors } from '../wire/errors.ts';
import { InternalRaftRequest } from '../wire/gen/etcdserverpb.ts';
import { TOO_MANY_REQUESTS } from './admission.ts';
import type { RequestIds } from './request-ids.ts';
import { encodeRaftRequest, type RaftRequestField, type RequestAuth } from './raft-request.ts';
import { type Waiter, PendingProposals } from './pending-proposals.ts';

/** Requests below it count by their number alone. */
const LARGE_BYTES = 4096;
const LOW_48_BITS = 0xffff_ffff_ffffn;

export type ResultWaiter = Waiter<ApplyResult>;

export interface ProposalsOptions {
  readonly ids: RequestIds;
  readonly now: () => number;
  readonly timeoutMs: number;
  /** Bytes of requests under way above which further ones are refused. */
  readonly maxInflightBytes: number;
  /** Why no proposal of that size and kind can be taken now. */
  readonly refusal: (field: RaftRequestField, bytes: number) => EtcdError | undefined;
  readonly propose: (data: Buffer) => void;
  /** A request was answered or given up, so many seconds after it came. */
  readonly ended?: (field: RaftRequestField, seconds: number, isSettled: boolean) => void;
}

/**
 * Local requests that become log entries: their ids, and the callers that wait for their results. A caller that
 * gives up, after a timeout or a lost leader, does not know the result: its entry may still be applied.
 */
export class Proposals {
  readonly #options: ProposalsOptions;
  /** Proposals whose waiters were told that they failed, or that nobody knows. */
  failed = 0;
  /** The last request that may have gone to a leader that has died since. */
  #sentToGone: number | undefined;
  readonly #pending: PendingProposals<ApplyResult>;
  /** Sizes of the large requests under way, by sequence; the small ones are bounded by their number. */
  readonly #large = new Map<number, number>();
  #largeBytes = 0;

  constructor(options: ProposalsOptions) {
    this.#options = options;
    const { ended, now, timeoutMs } = options;
    this.#pending = new PendingProposals(
      ended &&
        ((field, deadlineMs, isSettled) => {
          ended(field as RaftRequestField, (now() - deadlineMs + timeoutMs) / 1000, isSettled);
        }),
    );
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** @param body the request's own bytes */
  propose(field: RaftRequestField, body: Buffer, auth: RequestAuth | undefined, waiter: ResultWaiter): void {
    const { ids, now, timeoutMs, refusal, propose } = this.#options;
    const sequence = ids.next();
    const data = encodeRaftRequest(field, body, ids.prefix, sequence, auth);
    const refused = this.#isFull(data.length) ? TOO_MANY_REQUESTS : refusal(field, data.length);
    if (refused !== undefined) {
      waiter.failed(refused);
      return;
    }
    this.#pending.register(sequence, field, now() + timeoutMs, waiter);
    if (data.length >= LARGE_BYTES) {
      this.#large.set(sequence, data.length);
      this.#largeBytes += data.length;
    }
    propose(data);
  }

  #isFull(bytes: number): boolean {
    const { maxInflightBytes } = this.#options;
    if (bytes < LARGE_BYTES || this.#largeBytes + bytes <= maxInflightBytes) return false;
    // Those that were given up have left no word.
    for (const sequence of this.#large.keys()) if (!this.#pending.has(sequence)) this.#forget(sequence);
    return this.#largeBytes + bytes > maxInflightBytes;
  }

  #forget(sequence: number): void {
    this.#largeBytes -= this.#large.get(sequence) ?? 0;
    this.#large.delete(sequence);
  }

  /** Raft dropped these for certain; their waiters may be told so. */
  dropped(datas: readonly Buffer[], error: Error): void {
    for (const data of datas) {
      const id = InternalRaftRequest.decode(data).header?.id ?? 0n;
      this.failed += 1;
      this.#pending.fail(Number(id & LOW_48_BITS), error);
    }
  }

  isWanted(prefix: number, sequence: number): boolean {
    return prefix === this.#options.ids.prefix && this.#pending.has(sequence);
  }

  take(sequence: number): ResultWaiter | undefined {
    if (this.#large.size > 0) this.#forget(sequence);
    return this.#pending.take(sequence);
  }

  expire(error: (startedAtMs: number) => Error): number {
    const { now, timeoutMs } = this.#options;
    const time = now();
    const expired = this.#pending.expire(time, () => error(time - timeoutMs));
    this.failed += expired;
    return expired;
  }

  /**
   * The leader's process is gone. What was on its way to it is in the log of the next leader by the time that begins
   * its term, or is lost.
   */
  leaderGone(): void {
    this.#sentToGone = this.#options.ids.last;
  }

  /** A leader has begun its term, and everything of the terms before is applied. */
  termBegan(): void {
    if (this.#sentToGone === undefined) return;
    const lost = this.#sentToGone;
    this.#sentToGone = undefined;
    this.failed += this.#pending.failUpTo(lost, errors.TimeoutDueToLeaderFail);
  }

  failAll(error: Error): void {
    this.#pending.failAll(error);
  }
}
