import type { Config } from '../config/config.ts';
import type { Clock } from '../ports/clock.ts';
import type { ReadWaiter } from './read-queue.ts';

/** As etcd: after so many missed ticks a leader is not sure that it still leads. */
const MISSED_TICKS = 3;

/** The part of a member that the leadership check uses. */
export interface LeadingMember {
  readonly clock: Clock;
  readonly config: Pick<Config, 'heartbeatIntervalMs'>;
  readonly isLeader: boolean;
  /** Calls back once a quorum has confirmed the leader. */
  read(waiter: ReadWaiter): void;
}

/**
 * Whether a leader may renew and revoke leases without a confirmation by a quorum. After a stall, for example a stopped
 * process or a suspended machine, there may be another leader whose messages this member has not processed yet.
 */
export class Leadership {
  readonly #member: LeadingMember;
  #tickedMs: number;
  #doubtful = false;

  constructor(member: LeadingMember) {
    this.#member = member;
    this.#tickedMs = member.clock.now();
  }

  /** Called at each raft tick. */
  ticked(): void {
    if (this.#isLate()) this.#doubtful = true;
    this.#tickedMs = this.#member.clock.now();
  }

  get isSure(): boolean {
    return !this.#doubtful && !this.#isLate();
  }

  /** Asks a quorum if it is not sure. Resolves to false if this member does not lead or cannot find out. */
  ensure(): Promise<boolean> {
    const member = this.#member;
    if (this.isSure || !member.isLeader) return Promise.resolve(member.isLeader);
    return new Promise((resolve) => {
      member.read({
        readable: () => {
          this.#doubtful = false;
          resolve(member.isLeader);
        },
        failed: () => resolve(false),
      });
    });
  }

  #isLate(): boolean {
    const { clock, config } = this.#member;
    return clock.now() - this.#tickedMs > MISSED_TICKS * config.heartbeatIntervalMs;
  }
}
