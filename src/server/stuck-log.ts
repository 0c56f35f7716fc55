import type { Config } from '../config/config.ts';
import { hex } from '../lib/text.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Logger } from '../ports/logger.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import { None } from '../raft/types.ts';
import type { Consensus } from './consensus.ts';
import { canDoWithout, successorOf } from './hand-over.ts';
import type { Reachability } from './memberships.ts';

/** Election timeouts from one attempt to the next: leadership must not go round among slow disks. */
const REST_ELECTIONS = 5;

/** What it needs of a member. */
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
 * A leader whose log has not been synced for an election timeout hands over to a voter whose log goes on; so does one
 * that has applied nothing of what is committed for as long, because its store's disk is full or for any other reason.
 * Its heartbeats wait for no disk, so it would lead on, while nothing that its clients ask is answered.
 *
 * Time is counted in ticks: a process that was stopped, or whose event loop was busy, must not take that for a disk.
 */
export class StuckLog {
  readonly #member: LoggingMember;
  readonly #peers: Reachability;
  readonly #logger: Logger;
  readonly #stop: () => void;
  /** The appends up to this one are waited for. */
  #mark = 0;
  /** For how many ticks they have been. */
  #ticks = 0;
  /** For how many ticks nothing committed has been applied. */
  #unappliedTicks = 0;
  #applied = 0;
  #restTicks = 0;

  constructor(member: LoggingMember, peers: Reachability, logger: Logger) {
    this.#member = member;
    this.#peers = peers;
    this.#logger = logger;
    this.#stop = member.scheduler.every(member.config.heartbeatIntervalMs, () => this.#look());
  }

  stop(): void {
    this.#stop();
  }

  #look(): void {
    const { config, isLeader } = this.#member;
    if (this.#restTicks > 0) this.#restTicks -= 1;
    this.#lookAtLog();
    this.#lookAtStore();
    if (!isLeader || this.#restTicks > 0) return;
    if (this.#ticks >= config.electionTicks) this.#handOver('log');
    else if (this.#unappliedTicks >= config.electionTicks) this.#handOver('store');
  }

  #lookAtLog(): void {
    const { consensus } = this.#member;
    if (consensus.appendsDone < this.#mark) {
      this.#ticks += 1;
      return;
    }
    this.#mark = consensus.appendsBegun;
    this.#ticks = 0;
  }

  #lookAtStore(): void {
    const { applied, consensus } = this.#member;
    // The one counts each slice, the other only what has reached the store.
    const isWaiting = applied.index === this.#applied && consensus.applied < consensus.committed;
    this.#unappliedTicks = isWaiting ? this.#unappliedTicks + 1 : 0;
    this.#applied = applied.index;
  }

  /** Where the others' disks are no better, or they are too few to go on alone, leading on is the best there is. */
  #handOver(stuck: 'log' | 'store'): void {
    const { consensus, config, metrics } = this.#member;
    const status = consensus.status();
    const synced = status.progress.get(status.id)?.match ?? 0;
    const to = successorOf(status, this.#peers);
    if (to === undefined || status.leadTransferee !== None) return;
    // Whether another one's store takes writes is seen only once it leads.
    if (stuck === 'log' ? to.match <= synced : to.match < consensus.committed) return;
    if (!canDoWithout(status, this.#peers)) return;
    this.#restTicks = REST_ELECTIONS * config.electionTicks;
    metrics.server.stuckLogHandovers += 1;
    const ticks = stuck === 'log' ? this.#ticks : this.#unappliedTicks;
    const reason =
      stuck === 'log' ? 'the log cannot be synced' : 'what is committed cannot be applied to the store';
    this.#logger.warn(`${reason}; handing leadership over`, {
      to: hex(to.id),
      waited: `${ticks * config.heartbeatIntervalMs}ms`,
      'synced-index': synced,
      'applied-index': consensus.applied,
      'their-index': to.match,
    });
    consensus.transferLeader(to.id);
  }
}
