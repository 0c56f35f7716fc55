import type { Config } from '../config/config.ts';
import type { Cluster } from '../membership/cluster.ts';
import type { Clock } from '../ports/clock.ts';
import type { PeerTransport } from '../ports/peer-transport.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import { None, Role } from '../raft/types.ts';
import type { ConsensusInput } from './consensus.ts';

/** An election takes two round trips. The same time again is allowed for writing the votes to disk. */
const ROUND_TRIPS = 4;

/** With each tick, the recorded lateness of ticks decays by this factor. */
const LATENESS_DECAY = 0.9;

/** The part of a member that an early election uses. */
export interface ElectingMember {
  readonly config: Pick<Config, 'heartbeatIntervalMs' | 'electionTimeoutMs'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly scheduler: Pick<Scheduler, 'after' | 'every'>;
  readonly identity: { readonly memberId: bigint };
  readonly cluster: Pick<Cluster, 'votingMembers'>;
  readonly consensusInput: Pick<ConsensusInput, 'lead' | 'role' | 'term' | 'vote' | 'campaign'>;
}

/**
 * Starts an election without waiting for the election timeout: when the leader's process is gone, or when all members
 * have just started.
 *
 * The remaining voters campaign one after the other, in the order of their ids, with one step of time in between.
 * Concurrent candidates would split the vote, and the cluster would have no leader for an election timeout. A step is
 * long enough for an election: it depends on the measured round-trip times and on how late this member's own ticks are.
 * A candidate may be too early for voters that have not noticed the loss of the leader yet, so further rounds follow. A
 * member that has just granted a vote or a pre-vote to another one skips its turn.
 *
 * After a start, only connected voters have a turn, because the others may not have started yet. A voter that connects
 * later may then campaign at the same time. Two candidates can't split the votes of an odd number of voters, and the
 * next round separates them.
 *
 * Each campaign starts with a pre-vote, so that it cannot depose a leader that is still alive.
 */
export class EarlyElection {
  readonly #member: ElectingMember;
  readonly #peers: Pick<PeerTransport, 'activeSince' | 'roundTripMs'>;
  #votedMs = -Infinity;
  #tickedMs: number;
  #lateMs = 0;
  #cancel: (() => void) | undefined;

  constructor(member: ElectingMember, peers: Pick<PeerTransport, 'activeSince' | 'roundTripMs'>) {
    this.#member = member;
    this.#peers = peers;
    this.#tickedMs = member.clock.now();
    member.scheduler.every(member.config.heartbeatIntervalMs, () => this.#tick());
  }

  /** Called when this member has granted a vote or a pre-vote to another one. */
  voted(): void {
    this.#votedMs = this.#member.clock.now();
  }

  /** @param gone the leader whose process is gone; `None` after a start. This member knows no leader. */
  begin(gone: bigint): void {
    const { clock, cluster, config, identity, consensusInput: raft } = this.#member;
    const candidates = cluster
      .votingMembers()
      .map(({ id }) => id)
      .filter((id) => id !== gone && (gone !== None || this.#isConnected(id)));
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
      // The delay is a whole number of rounds, so that candidates stay apart. It doubles, because a new campaign
      // cancels the previous one.
      next(rounds * roundMs);
      rounds *= 2;
    };
    const next = (delayMs: number): void => {
      this.#cancel?.();
      // After that time raft itself campaigns, at a random time.
      this.#cancel =
        clock.now() + delayMs > endMs ? undefined : this.#member.scheduler.after(delayMs, attempt);
    };
    next(rank * stepMs);
  }

  #isConnected(id: bigint): boolean {
    return id === this.#member.identity.memberId || this.#peers.activeSince(id) !== undefined;
  }

  #stepMs(candidates: readonly bigint[]): number {
    const { heartbeatIntervalMs, electionTimeoutMs } = this.#member.config;
    const roundTripMs = Math.max(0, ...candidates.map((id) => this.#peers.roundTripMs(id) ?? 0));
    const stepMs = Math.max(heartbeatIntervalMs, ROUND_TRIPS * roundTripMs, ROUND_TRIPS * this.#lateMs);
    return Math.min(stepMs, electionTimeoutMs / 2);
  }

  #tick(): void {
    const { clock, config } = this.#member;
    const lateMs = clock.now() - this.#tickedMs - config.heartbeatIntervalMs;
    this.#tickedMs = clock.now();
    this.#lateMs = Math.max(lateMs, LATENESS_DECAY * this.#lateMs);
  }
}
