import type { Config } from '../config/config.ts';
import type { Cluster } from '../membership/cluster.ts';
import type { Clock } from '../ports/clock.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import { None, Role } from '../raft/types.ts';
import type { ConsensusInput } from './consensus.ts';

/** An election takes two round trips; as much again is left for the disks that votes wait for. */
const ROUND_TRIPS = 4;

/** Of a late tick, what is still remembered with the next one. */
const LATENESS_KEPT = 0.9;

/** What it needs of a member. */
export interface ElectingMember {
  readonly config: Pick<Config, 'heartbeatIntervalMs' | 'electionTimeoutMs'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly scheduler: Pick<Scheduler, 'after' | 'every'>;
  readonly identity: { readonly memberId: bigint };
  readonly cluster: Pick<Cluster, 'votingMembers'>;
  readonly consensusInput: Pick<ConsensusInput, 'lead' | 'role' | 'term' | 'vote' | 'campaign'>;
}

/**
 * An election without waiting for the election timeout, when the leader's process is gone, or when all members have
 * just started.
 *
 * The voters that are left campaign one after the other, in the order of their ids, each a step later: candidates that
 * meet split the vote, and then nobody leads for an election timeout. A step is long enough for an election, by the
 * measured round trips and by how late this member's own ticks are. Rounds follow, as a candidate may have been too early
 * for voters that had not missed the leader yet. A member that has just voted for another, or said that it would, leaves
 * out its turn.
 *
 * Campaigns ask first whether they could be won (pre-vote), so that none deposes a leader that is alive after all.
 */
export class EarlyElection {
  readonly #member: ElectingMember;
  readonly #roundTripMs: (id: bigint) => number | undefined;
  #votedMs = -Infinity;
  #tickedMs: number;
  #lateMs = 0;
  #cancel: (() => void) | undefined;

  /** @param roundTripMs to a member, where it was measured */
  constructor(member: ElectingMember, roundTripMs: (id: bigint) => number | undefined) {
    this.#member = member;
    this.#roundTripMs = roundTripMs;
    this.#tickedMs = member.clock.now();
    member.scheduler.every(member.config.heartbeatIntervalMs, () => this.#tick());
  }

  /** This member has voted for another one, or said that it would. */
  voted(): void {
    this.#votedMs = this.#member.clock.now();
  }

  /** @param gone the leader whose process is gone; `None` after a start. This member knows no leader. */
  begin(gone: bigint): void {
    const { clock, cluster, config, identity, consensusInput: raft } = this.#member;
    const candidates = cluster
      .votingMembers()
      .map(({ id }) => id)
      .filter((id) => id !== gone);
    const rank = candidates.indexOf(identity.memberId);
    if (rank < 0) return;
    const stepMs = this.#stepMs(candidates);
    const endMs = clock.now() + config.electionTimeoutMs;
    let term = raft.term;
    const roundMs = candidates.length * stepMs;
    let rounds = 1;
    const attempt = (): void => {
      if (raft.lead !== None || raft.role === Role.Leader) return;
      if (raft.term !== term && raft.vote !== None && raft.vote !== identity.memberId) this.voted();
      term = raft.term;
      if (clock.now() - this.#votedMs < stepMs) {
        next(roundMs);
        return;
      }
      raft.campaign();
      // Whole rounds, so that turns stay apart. Ever more of them: a new campaign gives up the one before.
      next(rounds * roundMs);
      rounds *= 2;
    };
    const next = (delayMs: number): void => {
      this.#cancel?.();
      // Later than that raft campaigns by itself, at random times.
      this.#cancel =
        clock.now() + delayMs > endMs ? undefined : this.#member.scheduler.after(delayMs, attempt);
    };
    next(rank * stepMs);
  }

  #stepMs(candidates: readonly bigint[]): number {
    const { heartbeatIntervalMs, electionTimeoutMs } = this.#member.config;
    const roundTripMs = Math.max(0, ...candidates.map((id) => this.#roundTripMs(id) ?? 0));
    const stepMs = Math.max(heartbeatIntervalMs, ROUND_TRIPS * roundTripMs, ROUND_TRIPS * this.#lateMs);
    return Math.min(stepMs, electionTimeoutMs / 2);
  }

  #tick(): void {
    const { clock, config } = this.#member;
    const lateMs = clock.now() - this.#tickedMs - config.heartbeatIntervalMs;
    this.#tickedMs = clock.now();
    this.#lateMs = Math.max(lateMs, LATENESS_KEPT * this.#lateMs);
  }
}
