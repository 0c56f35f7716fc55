import { type EtcdError, errors } from '../wire/errors.ts';

/** When this member last lost a leader and found one, for what is told to requests that have waited too long. */
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

  /** As etcd: a request that began while there was no leader blames that. */
  timeout(startedAtMs: number): EtcdError {
    const since = this.#sinceMs - 2 * this.#electionTimeoutMs;
    const lostLeader = startedAtMs > since && startedAtMs < this.#sinceMs && this.#lostMs > 0;
    return lostLeader ? errors.TimeoutDueToLeaderFail : errors.Timeout;
  }
}
