import { emptyConfig } from '../tracker/tracker.ts';
import { ConfChangeType } from '../types.ts';
import type { ConfChangeSingle, ConfState } from '../types.ts';
import { enterJoint, simpleChange } from './changer.ts';
import type { ChangerLimits, Membership } from './changer.ts';

/**
 * Rebuilds the membership of `state` by applying changes to an empty one, so that it passes the same checks as any
 * other. For a joint configuration it adds the outgoing voters, and then replaces all of them by the incoming ones
 * while entering the joint configuration.
 *
 * @throws ConfChangeError if no changes lead to `state`
 */
export function restoreMembership(state: ConfState, limits: ChangerLimits): Membership {
  const { AddNode, AddLearnerNode, RemoveNode } = types;
  const incoming = [
    ...singles(RemoveNode, state.votersOutgoing),
    ...singles(AddNode, state.voters),
    ...singles(AddLearnerNode, state.learners),
    ...singles(AddLearnerNode, state.learnersNext),
  ];
  const oneByOne = state.votersOutgoing.length === 0 ? incoming : singles(AddNode, state.votersOutgoing);
  let membership: Membership = { config: emptyConfig, progress: new Map() };
  for (const change of oneByOne) membership = simpleChange(membership, [change], limits);
  if (state.votersOutgoing.length === 0) return membership;
  return enterJoint(membership, incoming, { autoLeave: state.autoLeave, limits });
}

const types = {
  AddNode: ConfChangeType.ConfChangeAddNode,
  AddLearnerNode: ConfChangeType.ConfChangeAddLearnerNode,
  RemoveNode: ConfChangeType.ConfChangeRemoveNode,
} as const;

function singles(type: ConfChangeType, ids: readonly bigint[]): ConfChangeSingle[] {
  return ids.map((nodeId) => ({ type, nodeId }));
}
