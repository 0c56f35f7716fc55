import { areSameUrls } from '../config/urls.ts';
import { hex } from '../lib/text.ts';
import type { ClusterMember } from '../membership/member.ts';
import type { Logger } from '../ports/logger.ts';
import { EtcdError, errors, GrpcCode } from '../wire/errors.ts';
import type { Member } from './member.ts';
import type { Memberships, Reachability } from './memberships.ts';
import { waitUntilApplied } from './wait-applied.ts';

/** A request of a member that has lost its data. */
export interface RejoinRequest {
  /** The id that the member had. */
  readonly id: bigint;
  readonly peerUrls: readonly string[];
}

export interface RejoinsOptions {
  readonly member: Member;
  readonly memberships: Pick<Memberships, 'add' | 'remove' | 'healthyVoters'>;
  readonly peers: Reachability;
  readonly logger: Logger;
}

const refused = (reason: string): EtcdError =>
  new EtcdError(GrpcCode.FailedPrecondition, `keystead: cannot rejoin: ${reason}`);

/**
 * As leader, replaces members that have lost their data (`--keystead-rejoin`). The old id is removed from the cluster and
 * the member is added again as a learner with a new id.
 *
 * The old id must not be used again: it may have voted, and acknowledged entries that are lost now. A new id as a
 * learner counts towards no quorum until it has caught up.
 *
 * A member is replaced only if it is silent, and only if the other healthy voters are a quorum with it and without it.
 * So its removal can always be committed, and the cluster can commit afterwards.
 */
export class Rejoins {
  readonly #options: RejoinsOptions;
  readonly #running = new Map<bigint, Promise<bigint>>();
  /** Members that this leader has removed and not added again yet, and whether they were voters. */
  readonly #removed = new Map<bigint, { readonly wasVoter: boolean }>();
  readonly #newVoters = new Set<bigint>();

  constructor(options: RejoinsOptions) {
    this.#options = options;
  }

  /** Whether a learner replaces a voter. It is promoted once it has caught up. */
  replacesVoter(id: bigint): boolean {
    return this.#newVoters.has(id);
  }

  /**
   * Resolves to the new id of the member. The same request can be repeated. Rejects with NotLeader, or with an
   * EtcdError that names the reason for which the member cannot be replaced now.
   */
  replace(request: RejoinRequest): Promise<bigint> {
    const running = this.#running.get(request.id);
    if (running !== undefined) return running;
    const replacing = this.#replace(request).finally(() => this.#running.delete(request.id));
    this.#running.set(request.id, replacing);
    return replacing;
  }

  async #replace({ id, peerUrls }: RejoinRequest): Promise<bigint> {
    const { member, memberships, logger } = this.#options;
    if (!member.config.rejoin) throw refused('--keystead-rejoin is off on the leader');
    if (!member.isLeader) throw errors.NotLeader;
    await waitUntilApplied(member);
    const { cluster } = member;
    const holder = cluster.members().find((known) => areSameUrls(known.peerUrls, peerUrls));
    if (holder !== undefined && holder.id !== id) {
      // An earlier request has added the member, and the response was lost.
      if (holder.clientUrls.length === 0) return holder.id;
      throw refused(`the peer URLs belong to member ${hex(holder.id)}`);
    }
    const fields = { 'member-id': hex(id), 'peer-urls': peerUrls };
    if (holder !== undefined) {
      this.#check(holder);
      logger.warn('removing a member that has lost its data', fields);
      await memberships.remove(id);
      this.#removed.set(id, { wasVoter: !holder.isLearner });
    }
    const removed = this.#removed.get(id);
    if (removed === undefined) throw refused(`member ${hex(id)} is not in the cluster`);
    const { added } = await memberships.add(peerUrls, true);
    this.#removed.delete(id);
    if (removed.wasVoter) this.#newVoters.add(added.id);
    logger.info('added a member that has lost its data as a learner', {
      ...fields,
      'new-member-id': hex(added.id),
    });
    return added.id;
  }

  /** @throws EtcdError if the member must not be removed */
  #check(old: ClusterMember): void {
    const { member, memberships, peers } = this.#options;
    const { cluster, config, identity } = member;
    if (old.id === identity.memberId) throw refused('the member is the leader');
    const progress = member.consensus.status().progress.get(old.id);
    if (peers.activeSince(old.id) !== undefined || progress?.recentActive === true)
      throw refused(`member ${hex(old.id)} was heard from a moment ago`);
    const learners = cluster.members().filter(({ id, isLearner }) => isLearner && id !== old.id);
    if (learners.length >= config.maxLearners)
      throw refused('another learner must be promoted first (--max-learners)');
    const voters = cluster.votingMembers();
    const others = voters.filter(({ id }) => id !== old.id);
    const healthy = memberships.healthyVoters(others);
    const needed = Math.floor(voters.length / 2) + 1;
    if (!old.isLearner && healthy < needed)
      throw refused(`${healthy} of the other voters are healthy, ${needed} are needed`);
  }
}
