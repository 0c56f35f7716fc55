import { InvariantError } from '../lib/assert.ts';
import { hex } from '../lib/text.ts';
import { changedMembership } from './confchange/changed.ts';
import type { Membership } from './confchange/changer.ts';
import { restoreMembership } from './confchange/restore.ts';
import { describeConfState } from './describe.ts';
import { isVoter } from './quorum/joint.ts';
import { sortedIds } from './quorum/majority.ts';
import type { Raft } from './raft.ts';
import { broadcastAppend, maybeCommit, maybeSendAppend } from './replication.ts';
import { describeConfig, emptyConfig } from './tracker/tracker.ts';
import { None, Role, snapshotIndex, snapshotTerm } from './types.ts';
import type { ConfChangeV2, ConfState, Snapshot } from './types.ts';

/**
 * Applies a committed configuration change.
 *
 * @throws ConfChangeError if the change is invalid for the current configuration. Proposals are checked, so that is a
 * bug, and the process must end.
 */
export function applyConfChange(r: Raft, change: ConfChangeV2): ConfState {
  return switchToConfig(r, changedMembership(r.tracker, change, r.changerLimits()));
}

/** Installs a configuration. A leader also commits by the new quorum, and sends to new nodes. */
export function switchToConfig(r: Raft, { config, progress }: Membership): ConfState {
  r.tracker.install(config, progress);
  r.logger.info(`${hex(r.id)} switched to configuration ${describeConfig(config)}`);
  const state = r.tracker.confState();
  const own = r.tracker.progress.get(r.id);
  r.isLearner = own?.isLearner === true;
  if (r.role !== Role.Leader) return state;
  if (own === undefined || r.isLearner) {
    if (r.config.stepDownOnRemoval) r.becomeFollower(r.term, None);
    return state;
  }
  if (state.voters.length === 0) return state;
  if (maybeCommit(r)) {
    broadcastAppend(r);
  } else {
    // New nodes need not wait for the next heartbeat or proposal.
    for (const id of r.tracker.progress.keys()) {
      if (id !== r.id) maybeSendAppend(r, id, false);
    }
  }
  if (r.leadTransferee !== None && !isVoter(config.voters, r.leadTransferee)) r.leadTransferee = None;
  return state;
}

/**
 * Replaces log and configuration by the snapshot of a leader.
 *
 * @returns false if the snapshot was ignored: it is old, the log already has its last entry (which is then committed),
 * or this node is not in its configuration
 */
export function restoreSnapshot(r: Raft, snapshot: Snapshot): boolean {
  const index = snapshotIndex(snapshot);
  const term = snapshotTerm(snapshot);
  if (index <= r.log.committed) return false;
  if (r.role !== Role.Follower) {
    r.logger.warn(`${hex(r.id)} attempted to restore snapshot as leader; should never happen`);
    r.becomeFollower(r.term + 1, None);
    return false;
  }
  const confState = snapshot.metadata?.confState;
  if (confState === undefined || !takesPart(confState, r.id)) {
    const shown = confState === undefined ? 'none' : describeConfState(confState);
    r.logger.warn(
      `${hex(r.id)} attempted to restore snapshot but it is not in the ConfState ${shown}; should never happen`,
    );
    return false;
  }
  const last = r.log.lastEntryId();
  if (r.log.matchTerm(term, index)) {
    r.logger.info(
      `${hex(r.id)} [commit: ${r.log.committed}, lastindex: ${last.index}, lastterm: ${last.term}] ` +
        `fast-forwarded commit to snapshot [index: ${index}, term: ${term}]`,
    );
    r.log.commitTo(index);
    return false;
  }
  r.log.restore(snapshot);
  r.tracker.install(emptyConfig, new Map());
  assertEquivalent(confState, switchToConfig(r, restoreMembership(confState, r.changerLimits())));
  r.logger.info(
    `${hex(r.id)} [commit: ${r.log.committed}, lastindex: ${index}, lastterm: ${term}] ` +
      `restored snapshot [index: ${index}, term: ${term}]`,
  );
  return true;
}

/** A node in `learnersNext` is still an outgoing voter, so it needs no separate check. */
function takesPart({ voters, learners, votersOutgoing }: ConfState, id: bigint): boolean {
  return voters.includes(id) || learners.includes(id) || votersOutgoing.includes(id);
}

/** @throws InvariantError if the two describe different configurations */
export function assertEquivalent(expected: ConfState, actual: ConfState): void {
  const [a, b] = [describeConfState(sorted(expected)), describeConfState(sorted(actual))];
  if (a !== b) throw new InvariantError(`a restored configuration equals the stored one: ${a} is not ${b}`);
}

function sorted(state: ConfState): ConfState {
  return {
    voters: sortedIds(state.voters),
    learners: sortedIds(state.learners),
    votersOutgoing: sortedIds(state.votersOutgoing),
    learnersNext: sortedIds(state.learnersNext),
    autoLeave: state.autoLeave,
  };
}
