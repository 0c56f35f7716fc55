import { type EtcdError, errors } from '../wire/errors.ts';

/** The times when this member last lost and found a leader. They determine the error of requests that time out. */
export class LeaderTimes {
  readonly #electionTimeoutMs: number;
  #sinceMs = 0;
  #lostMs = 0;

  constructor(electionTimeoutMs: number) {
    this.#electionTimeoutMs = electionTimeoutMs;
  }

  found(nowMs: number): void {
    this.#sinceMs = nowMs;
  }

  lost(nowMs: number): void {
    this.#lostMs = nowMs;
  }

  /** As etcd: a request that started while there was no leader gets an error that says so. */
  timeout(startedAtMs: number): EtcdError {
    const since = this.#sinceMs - 2 * this.#electionTimeoutMs;
    const lostLeader = startedAtMs > since && startedAtMs < this.#sinceMs && this.#lostMs > 0;
    return lostLeader ? errors.TimeoutDueToLeaderFail : errors.Timeout;
  }
}
