import { assert } from '../lib/assert.ts';
import { hex } from '../lib/text.ts';
import { type EtcdError, errors } from '../wire/errors.ts';
import { type ConfChange, ConfChangeType } from '../wire/gen/raftpb.ts';
import type { Cluster } from './cluster.ts';
import { decodeMemberContext, type MemberContext } from './member-json.ts';

/** The effect of a valid change, for the code that keeps connections to the peers. */
export type MembershipChange =
  | { readonly kind: 'added' | 'updated'; readonly id: bigint; readonly peerUrls: readonly string[] }
  | { readonly kind: 'promoted' | 'removed'; readonly id: bigint };

/**
 * Whether a committed change is still valid: several may have been proposed before the first was applied.
 *
 * @returns the error for the client; raft then gets the change with node ID 0, which changes nothing
 */
export function validateConfChange(
  cluster: Cluster,
  change: ConfChange,
  maxLearners: number,
): EtcdError | undefined {
  const id = change.nodeId;
  if (cluster.isRemoved(id)) return errors.MemberNotFound;
  switch (change.type) {
    case ConfChangeType.ConfChangeAddNode:
    case ConfChangeType.ConfChangeAddLearnerNode:
      return validateAddition(cluster, change, maxLearners);
    case ConfChangeType.ConfChangeRemoveNode:
      return cluster.member(id) === undefined ? errors.MemberNotFound : undefined;
    case ConfChangeType.ConfChangeUpdateNode:
      if (cluster.member(id) === undefined) return errors.MemberNotFound;
      return peerUrlsTaken(cluster, contextOf(change), id) ? errors.PeerURLExist : undefined;
    default:
      assert(false, 'a committed configuration change has a known type');
  }
}

function validateAddition(cluster: Cluster, change: ConfChange, maxLearners: number): EtcdError | undefined {
  const context = contextOf(change);
  const present = cluster.member(change.nodeId);
  if (context.isPromote) {
    if (present === undefined) return errors.MemberNotFound;
    return present.isLearner ? undefined : errors.MemberNotLearner;
  }
  if (present !== undefined) return errors.MemberExist;
  if (peerUrlsTaken(cluster, context, undefined)) return errors.PeerURLExist;
  const asLearner = context.member.isLearner && change.type === ConfChangeType.ConfChangeAddLearnerNode;
  if (!asLearner) return undefined;
  const learners = cluster.members().filter((member) => member.isLearner).length;
  return learners + 1 > maxLearners ? errors.TooManyLearners : undefined;
}

/** Applies a validated change to the cluster. */
export function applyConfChange(cluster: Cluster, change: ConfChange): MembershipChange {
  const id = change.nodeId;
  if (change.type === ConfChangeType.ConfChangeRemoveNode) {
    cluster.remove(id);
    return { kind: 'removed', id };
  }
  const { member, isPromote } = contextOf(change);
  assert(
    member.id === id,
    `a configuration change and its context name the same member, not ${hex(id)} and ${hex(member.id)}`,
  );
  if (change.type === ConfChangeType.ConfChangeUpdateNode) {
    cluster.updatePeerUrls(id, member.peerUrls);
    return { kind: 'updated', id, peerUrls: member.peerUrls };
  }
  if (isPromote) {
    cluster.promote(id);
    return { kind: 'promoted', id };
  }
  cluster.add(member);
  return { kind: 'added', id, peerUrls: member.peerUrls };
}

function contextOf(change: ConfChange): MemberContext {
  assert(change.context !== undefined, 'a configuration change with a member has a context');
  return decodeMemberContext(change.context);
}

function peerUrlsTaken(cluster: Cluster, context: MemberContext, except: bigint | undefined): boolean {
  const taken = new Set<string>();
  for (const member of cluster.members())
    if (member.id !== except) for (const url of member.peerUrls) taken.add(url);
  return context.member.peerUrls.some((url) => taken.has(url));
}
