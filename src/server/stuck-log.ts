import type { Config } from '../config/config.ts';
import { hex } from '../lib/text.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Logger } from '../ports/logger.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import { None } from '../raft/types.ts';
import type { Consensus } from './consensus.ts';
import { hasQuorumWithoutLeader, successorOf } from './leadership-transfer.ts';
import type { Reachability } from './memberships.ts';

/** Election timeouts between two attempts, so that leadership does not move around between members with slow disks. */
const REST_ELECTIONS = 5;

/** The part of a member that is monitored. */
export interface LoggingMember {
  readonly config: Pick<Config, 'electionTicks' | 'heartbeatIntervalMs'>;
  readonly scheduler: Pick<Scheduler, 'every'>;
  readonly metrics: { readonly server: Pick<Metrics['server'], 'stuckLogHandovers'> };
  readonly isLeader: boolean;
  readonly applied: { readonly index: number };
  readonly consensus: Pick<
    Consensus,
    'appendsBegun' | 'appendsDone' | 'status' | 'transferLeader' | 'committed' | 'applied'
  >;
}

/**
 * Transfers the leadership away from a leader whose disk does not work. That is the case when its log has not been
 * synced for an election timeout, or when it has not applied committed entries for that time, for example because the
 * disk of its store is full. Heartbeats do not depend on the disk. So without this, the leader would stay leader while
 * its clients get no response.
 *
 * Time is counted in ticks, so that a stopped process or a busy event loop is not mistaken for a slow disk.
 */
export class StuckLog {
  readonly #member: LoggingMember;
  readonly #peers: Reachability;
  readonly #logger: Logger;
  readonly #stop: () => void;
  /** Number of the append that must be on disk next. */
  #awaitedAppend = 0;
  /** Ticks since this append is awaited. */
  #ticks = 0;
  /** Ticks since the last committed entry was applied. */
  #unappliedTicks = 0;
  #applied = 0;
  #restTicks = 0;

  constructor(member: LoggingMember, peers: Reachability, logger: Logger) {
    this.#member = member;
    this.#peers = peers;
    this.#logger = logger;
    this.#stop = member.scheduler.every(member.config.heartbeatIntervalMs, () => this.#check());
  }

  stop(): void {
    this.#stop();
  }

  #check(): void {
    const { config, isLeader } = this.#member;
    if (this.#restTicks > 0) this.#restTicks -= 1;
    this.#checkLog();
    this.#checkStore();
    if (!isLeader || this.#restTicks > 0) return;
    if (this.#ticks >= config.electionTicks) this.#transfer('log');
    else if (this.#unappliedTicks >= config.electionTicks) this.#transfer('store');
  }

  #checkLog(): void {
    const { consensus } = this.#member;
    if (consensus.appendsDone < this.#awaitedAppend) {
      this.#ticks += 1;
      return;
    }
    this.#awaitedAppend = consensus.appendsBegun;
    this.#ticks = 0;
  }

  #checkStore(): void {
    const { applied, consensus } = this.#member;
    // Raft's applied index moves at the end of a batch, the index of the store with each slice.
    const isWaiting = applied.index === this.#applied && consensus.applied < consensus.committed;
    this.#unappliedTicks = isWaiting ? this.#unappliedTicks + 1 : 0;
    this.#applied = applied.index;
  }

  /** Keeps the leadership if no other member has newer entries on disk, or if the others have no quorum. */
  #transfer(stuck: 'log' | 'store'): void {
    const { consensus, config, metrics } = this.#member;
    const status = consensus.status();
    const synced = status.progress.get(status.id)?.match ?? 0;
    const to = successorOf(status, this.#peers);
    if (to === undefined || status.leadTransferee !== None) return;
    // Whether the store of another member works is known only when it leads.
    if (stuck === 'log' ? to.match <= synced : to.match < consensus.committed) return;
    if (!hasQuorumWithoutLeader(status, this.#peers)) return;
    this.#restTicks = REST_ELECTIONS * config.electionTicks;
    metrics.server.stuckLogHandovers += 1;
    const ticks = stuck === 'log' ? this.#ticks : this.#unappliedTicks;
    const reason =
      stuck === 'log' ? 'the log cannot be synced' : 'committed entries cannot be applied to the store';
    this.#logger.warn(`${reason}; transferring leadership`, {
      to: hex(to.id),
      waited: `${ticks * config.heartbeatIntervalMs}ms`,
      'synced-index': synced,
      'applied-index': consensus.applied,
      'their-index': to.match,
    });
    consensus.transferLeader(to.id);
  }
}
