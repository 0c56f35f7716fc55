import type { Config } from '../config/config.ts';
import { formatId } from '../membership/member.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Logger } from '../ports/logger.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import { None } from '../raft/types.ts';
import { canDoWithout, successorOf } from './hand-over.ts';
import type { Reachability } from './memberships.ts';
import type { RaftLoop } from './raft-loop.ts';

/** Election timeouts from one attempt to the next: leadership must not go round among slow disks. */
const REST_ELECTIONS = 5;

/** What it needs of a member. */
export interface LoggingMember {
  readonly config: Pick<Config, 'electionTicks' | 'heartbeatIntervalMs'>;
  readonly scheduler: Pick<Scheduler, 'every'>;
  readonly metrics: { readonly server: Pick<Metrics['server'], 'stuckLogHandovers'> };
  readonly isLeader: boolean;
  readonly loop: Pick<RaftLoop, 'appendsBegun' | 'appendsDone' | 'schedule'> & {
    readonly node: Pick<RaftLoop['node'], 'status' | 'transferLeader'>;
  };
}

/**
 * A leader whose log has not been synced for an election timeout hands over to a voter whose log goes on. Its
 * heartbeats wait for no disk, so it would lead on, while nothing that its clients ask is answered.
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
    const { loop, config, isLeader } = this.#member;
    if (this.#restTicks > 0) this.#restTicks -= 1;
    if (loop.appendsDone >= this.#mark) {
      this.#mark = loop.appendsBegun;
      this.#ticks = 0;
      return;
    }
    this.#ticks += 1;
    if (isLeader && this.#ticks >= config.electionTicks && this.#restTicks === 0) this.#handOver();
  }

  /** Where the others' disks are no better, or they are too few to go on alone, leading on is the best there is. */
  #handOver(): void {
    const { loop, config, metrics } = this.#member;
    const status = loop.node.status();
    const synced = status.progress.get(status.id)?.match ?? 0;
    const to = successorOf(status, this.#peers);
    if (to === undefined || to.match <= synced || status.leadTransferee !== None) return;
    if (!canDoWithout(status, this.#peers)) return;
    this.#restTicks = REST_ELECTIONS * config.electionTicks;
    metrics.server.stuckLogHandovers += 1;
    this.#logger.warn('the log cannot be synced; handing leadership over', {
      to: formatId(to.id),
      waited: `${this.#ticks * config.heartbeatIntervalMs}ms`,
      'synced-index': synced,
      'their-index': to.match,
    });
    loop.node.transferLeader(to.id);
    loop.schedule();
  }
}
