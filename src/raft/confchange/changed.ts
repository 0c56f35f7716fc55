import { ProgressTracker } from '../tracker/tracker.ts';
import type { ConfChangeV2, ConfState } from '../types.ts';
import { enterJoint, leaveJoint, simpleChange } from './changer.ts';
import type { ChangerLimits, Membership } from './changer.ts';
import { type AnyConfChange, asV2, jointTransition, leavesJoint } from './conf-change.ts';
import { restoreMembership } from './restore.ts';

/** @throws ConfChangeError if the change is invalid for the configuration */
export function changedMembership(from: Membership, change: ConfChangeV2, limits: ChangerLimits): Membership {
  if (leavesJoint(change)) return leaveJoint(from, limits);
  const joint = jointTransition(change);
  if (joint === undefined) return simpleChange(from, change.changes, limits);
  return enterJoint(from, change.changes, { autoLeave: joint.autoLeave, limits });
}

/** The limits concern the progress of members, which a configuration does not contain. */
const ANY_LIMITS: ChangerLimits = { lastIndex: 1, maxInflight: 1, maxInflightBytes: Infinity };

/**
 * The configuration after a change, as raft itself computes it when it applies the change.
 *
 * @throws ConfChangeError if the change is invalid for the configuration
 */
export function nextConfState(state: ConfState, change: AnyConfChange): ConfState {
  const { config, progress } = changedMembership(
    restoreMembership(state, ANY_LIMITS),
    asV2(change),
    ANY_LIMITS,
  );
  const tracker = new ProgressTracker(ANY_LIMITS.maxInflight, ANY_LIMITS.maxInflightBytes);
  tracker.install(config, progress);
  return tracker.confState();
}
