import type { Config } from '../config/config.ts';
import type { Clock } from '../ports/clock.ts';
import type { ReadWaiter } from './read-queue.ts';

/** As etcd: ticks that may fail to come before a leader is no longer sure of itself. */
const MISSED_TICKS = 3;

/** What it needs of a member. */
export interface LeadingMember {
  readonly clock: Clock;
  readonly config: Pick<Config, 'heartbeatIntervalMs'>;
  readonly isLeader: boolean;
  /** Calls back once a quorum has confirmed the leader. */
  read(waiter: ReadWaiter): void;
}

/**
 * Whether this member, which takes itself for the leader, may act as one without asking the others: renew leases, or
 * revoke them. After a stall, a stopped process or a machine asleep, there may long be another leader, whose word has
 * arrived but is not read yet.
 */
export class Leadership {
  readonly #member: LeadingMember;
  #tickedMs: number;
  #doubtful = false;

  constructor(member: LeadingMember) {
    this.#member = member;
    this.#tickedMs = member.clock.now();
  }

  /** With each tick of raft's clock. */
  ticked(): void {
    if (this.#isLate()) this.#doubtful = true;
    this.#tickedMs = this.#member.clock.now();
  }

  get isSure(): boolean {
    return !this.#doubtful && !this.#isLate();
  }

  /** Asks the others where it is not sure. False where this member does not lead, or cannot know. */
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
