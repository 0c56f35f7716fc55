import { isQuorum, jointIds } from '../raft/quorum/joint.ts';
import type { Logger } from '../ports/logger.ts';
import type { PeerTransport } from '../ports/peer-transport.ts';
import type { Member } from './member.ts';

const POLL_MS = 10;
/** As in etcd: a member that is not connected with enough others by then waits for the whole election timeout. */
const WAIT_MS = 5_000;
/** Ticks in which a running leader can be heard from before this member campaigns without pre-vote. */
const TICKS_LEFT = 2;
/**
 * The part of a tick that voters stay connected before this member asks for pre-votes. A candidate among them is heard
 * from in that time, and often a running leader. If such a leader is not heard from, the pre-vote is refused.
 */
const CONNECTED_TICKS = 0.2;

export interface ElectionTickAdvanceOptions {
  readonly member: Pick<
    Member,
    'config' | 'clock' | 'scheduler' | 'identity' | 'hasLeader' | 'consensus' | 'consensusInput'
  >;
  readonly peers: Pick<PeerTransport, 'activeSince' | 'activePeers'>;
  /** Campaigns in turn with the other voters (`EarlyElection`). */
  readonly elect: () => void;
  readonly logger: Logger;
}

/**
 * Shortens the wait for the first election after a start, if no leader is heard from.
 *
 * With pre-vote the voters elect a leader as soon as a quorum of them is connected: members that hear from a leader
 * refuse pre-votes, so a campaign cannot disturb it. Without pre-vote most of the first election timeout counts as
 * passed once two others are connected, as in etcd.
 */
export class ElectionTickAdvance {
  readonly #options: ElectionTickAdvanceOptions;
  readonly #deadlineMs: number;
  #stop: () => void = () => undefined;
  /** Since when a quorum of voters is connected. */
  #quorumMs: number | undefined;

  constructor(options: ElectionTickAdvanceOptions) {
    this.#options = options;
    const { config, clock, scheduler } = options.member;
    this.#deadlineMs = clock.now() + WAIT_MS;
    if (config.initialElectionTickAdvance) this.#stop = scheduler.every(POLL_MS, () => this.#check());
    else
      options.logger.info('skipping initial election tick advance', {
        'election-ticks': config.electionTicks,
      });
  }

  stop(): void {
    this.#stop();
  }

  #check(): void {
    const { member } = this.#options;
    if (member.hasLeader || member.clock.now() > this.#deadlineMs) this.#stop();
    else if (member.config.preVote) this.#electOnceConnected();
    else this.#forwardOnceConnected();
  }

  #electOnceConnected(): void {
    const { member, peers, elect, logger } = this.#options;
    const { clock, config, identity } = member;
    const { voters } = member.consensus.status().config;
    const ids = jointIds(voters);
    if (ids.size === 1 && ids.has(identity.memberId)) {
      // The only voter has started its election by itself. Another one before its vote is on disk would raise the term.
      this.#stop();
      return;
    }
    const isConnected = (id: bigint): boolean =>
      id === identity.memberId || peers.activeSince(id) !== undefined;
    if (!isQuorum(voters, isConnected)) {
      this.#quorumMs = undefined;
      return;
    }
    this.#quorumMs ??= clock.now();
    if (clock.now() - this.#quorumMs < CONNECTED_TICKS * config.heartbeatIntervalMs) return;
    this.#stop();
    logger.info('a quorum is connected and no leader is known; starting an election');
    elect();
  }

  #forwardOnceConnected(): void {
    const { member, peers, logger } = this.#options;
    const { electionTicks } = member.config;
    const active = peers.activePeers();
    if (active < 2) return;
    this.#stop();
    const ticks = electionTicks - TICKS_LEFT;
    logger.info('initialized peer connections; fast-forwarding election ticks', {
      'forward-ticks': ticks,
      'election-ticks': electionTicks,
      'active-remote-members': active,
    });
    for (let i = 0; i < ticks; i++) member.consensusInput.tick();
  }
}
