import { parseUrls } from '../config/urls.ts';
import { type ClusterMember, memberId } from '../membership/member.ts';
import { encodeMember, encodeMemberContext } from '../membership/member-json.ts';
import type { Logger } from '../ports/logger.ts';
import type { PeerClient } from '../ports/peer-client.ts';
import { ConfChangeType } from '../raft/types.ts';
import { EtcdError, errors, GrpcCode } from '../wire/errors.ts';
import { waitUntilApplied } from './wait-applied.ts';
import type { Member } from './member.ts';
import { probePeers } from './peer-probe.ts';

/** A member is healthy when it has been connected for this time. */
const HEALTH_INTERVAL_MS = 5_000;
/** A learner can be promoted when it has this share of the leader's log. */
const READY_SHARE = 0.9;
const RETRY_MS = 100;

/** etcd returns this error to clients without a code of its own. */
const NOT_ENOUGH_STARTED = new EtcdError(GrpcCode.Unknown, errors.MemberNotEnoughStarted.message);

export interface Reachability {
  /** Time on this member's clock since when the connection to the other member works; undefined if it does not. */
  activeSince(id: bigint): number | undefined;
}

export interface MembershipsOptions {
  readonly member: Member;
  readonly peers: Reachability;
  readonly client: Pick<PeerClient, 'cluster' | 'promote'>;
  readonly logger: Logger;
}

/** Membership changes of clients: validates and proposes them. */
export class Memberships {
  readonly #options: MembershipsOptions;

  constructor(options: MembershipsOptions) {
    this.#options = options;
  }

  /** All methods reject with etcd's errors. @param peerUrls URLs checked by `checkUrls` */
  async add(
    peerUrls: readonly string[],
    isLearner: boolean,
  ): Promise<{ added: ClusterMember; members: readonly ClusterMember[] }> {
    const { member, client, logger } = this.#options;
    const wallSeconds = member.clock.wall() / 1000;
    const id = memberId({ peerUrls, token: '', wallSeconds });
    const added: ClusterMember = { id, name: '', peerUrls, clientUrls: [], isLearner };
    if (member.config.strictReconfigCheck) this.#checkAddition(isLearner);
    // Only logs warnings; the proposal does not wait for it.
    void probePeers(peerUrls, { client, clusterId: member.identity.clusterId, logger });
    const members = await member.confChanges.propose({
      type: isLearner ? ConfChangeType.ConfChangeAddLearnerNode : ConfChangeType.ConfChangeAddNode,
      nodeId: id,
      context: encodeMember(added),
    });
    return { added, members };
  }

  async remove(id: bigint): Promise<readonly ClusterMember[]> {
    const { member } = this.#options;
    if (member.config.strictReconfigCheck) this.#checkRemoval(id);
    return member.confChanges.propose({
      type: ConfChangeType.ConfChangeRemoveNode,
      nodeId: id,
      context: undefined,
    });
  }

  async update(id: bigint, urls: readonly string[]): Promise<readonly ClusterMember[]> {
    checkUrls(urls);
    // As etcd, keeps the URLs and their order as they were sent.
    const updated: ClusterMember = { id, name: '', peerUrls: urls, clientUrls: [], isLearner: false };
    return this.#options.member.confChanges.propose({
      type: ConfChangeType.ConfChangeUpdateNode,
      nodeId: id,
      context: encodeMember(updated),
    });
  }

  /** Promotes a learner to a voter. Only the leader knows whether it has caught up. @param token the client's auth token */
  async promote(id: bigint, token: string | undefined): Promise<readonly ClusterMember[]> {
    const { member, client } = this.#options;
    const deadline = member.clock.now() + member.config.requestTimeoutMs;
    while (!member.isLeader) {
      const leader = member.cluster.member(member.consensus.lead);
      if (leader !== undefined) {
        try {
          return await client.promote(leader.peerUrls, id, token, member.config.requestTimeoutMs);
        } catch (error) {
          if (error instanceof EtcdError) throw error;
        }
      }
      if (member.clock.now() > deadline) throw errors.Timeout;
      await new Promise<void>((resolve) => {
        member.scheduler.after(RETRY_MS, resolve);
      });
    }
    return this.promoteHere(id);
  }

  /** Promotes a learner; only on the leader. */
  async promoteHere(id: bigint): Promise<readonly ClusterMember[]> {
    const { member } = this.#options;
    await waitUntilApplied(member);
    const { progress, id: self } = member.consensus.status();
    const leader = progress.get(self);
    if (leader === undefined) throw errors.NotLeader;
    const learner = progress.get(id);
    if (learner === undefined) throw errors.MemberNotFound;
    if (learner.match < leader.match * READY_SHARE) throw errors.LearnerNotReady;
    if (member.config.strictReconfigCheck && !member.cluster.isReadyToPromote()) throw NOT_ENOUGH_STARTED;
    const promoted: ClusterMember = { id, name: '', peerUrls: [], clientUrls: [], isLearner: false };
    const members = await member.confChanges.propose({
      type: ConfChangeType.ConfChangeAddNode,
      nodeId: id,
      context: encodeMemberContext({ member: promoted, isPromote: true }),
    });
    member.metrics.server.learnerPromoteSuccesses++;
    return members;
  }

  #checkAddition(isLearner: boolean): void {
    const { cluster } = this.#options.member;
    if (!isLearner && !cluster.isReadyToAddVoter()) throw NOT_ENOUGH_STARTED;
    const voters = cluster.votingMembers();
    if (voters.length === 1) return;
    if (this.healthyVoters(voters) < Math.floor((voters.length + 1) / 2) + 1) throw errors.Unhealthy;
  }

  #checkRemoval(id: bigint): void {
    const { member, peers } = this.#options;
    const { cluster, identity } = member;
    if (cluster.member(id)?.isLearner === true) return;
    if (!cluster.isReadyToRemoveVoter(id)) throw NOT_ENOUGH_STARTED;
    // A member that is down is not part of the active quorum.
    if (id !== identity.memberId && peers.activeSince(id) === undefined) return;
    const voters = cluster.votingMembers();
    if (this.healthyVoters(voters) - 1 < 1 + Math.floor((voters.length - 1) / 2)) throw errors.Unhealthy;
  }

  /** How many of `voters` are healthy. This member always is. */
  healthyVoters(voters: readonly ClusterMember[]): number {
    const { member, peers } = this.#options;
    const before = member.clock.now() - HEALTH_INTERVAL_MS;
    const isConnected = (id: bigint): boolean => {
      const since = peers.activeSince(id);
      return id === member.identity.memberId || (since !== undefined && since < before);
    };
    return voters.filter(({ id }) => isConnected(id)).length;
  }
}

/** Returns peer URLs in Go's normal form, sorted. @throws EtcdError if Go's parser would refuse one */
export function checkUrls(urls: readonly string[]): string[] {
  if (urls.length === 0) throw errors.MemberBadURLs;
  try {
    return parseUrls(urls).map(({ text }) => text);
  } catch {
    throw errors.MemberBadURLs;
  }
}
