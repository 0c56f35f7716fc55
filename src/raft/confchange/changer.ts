import { jointIds } from '../quorum/joint.ts';
import { Inflights } from '../tracker/inflights.ts';
import { Progress } from '../tracker/progress.ts';
import type { ProgressMap } from '../tracker/progress.ts';
import type { TrackerConfig } from '../tracker/tracker.ts';
import { ConfChangeType } from '../types.ts';
import type { ConfChangeSingle } from '../types.ts';

/** A change that is invalid for the configuration. */
export class ConfChangeError extends Error {
  override readonly name = 'ConfChangeError';
}

export interface Membership {
  readonly config: TrackerConfig;
  readonly progress: ReadonlyMap<bigint, Progress>;
}

export interface ChangerLimits {
  /** Last index of the log: new nodes are probed from there. */
  readonly lastIndex: number;
  readonly maxInflight: number;
  readonly maxInflightBytes: number;
}

/** A membership that is being changed. Only the changer uses it. */
interface Draft {
  incoming: Set<bigint>;
  outgoing: Set<bigint>;
  learners: Set<bigint>;
  learnersNext: Set<bigint>;
  autoLeave: boolean;
  progress: ProgressMap;
  readonly limits: ChangerLimits;
}

/**
 * Enters the joint configuration: the present voters become the outgoing half, and `changes` are made to a copy
 * of them, the incoming half (from C_old to C_new,old in the Raft thesis, 4.3).
 *
 * @throws ConfChangeError if the configuration is joint already, or the change leaves no voters
 */
export function enterJoint(
  from: Membership,
  changes: readonly ConfChangeSingle[],
  { autoLeave, limits }: { autoLeave: boolean; limits: ChangerLimits },
): Membership {
  const draft = draftOf(from, limits);
  if (draft.outgoing.size > 0) throw new ConfChangeError('config is already joint');
  if (draft.incoming.size === 0) throw new ConfChangeError("can't make a zero-voter config joint");
  draft.outgoing = new Set(draft.incoming);
  applyAll(draft, changes);
  draft.autoLeave = autoLeave;
  return finished(draft);
}

/**
 * Leaves the joint configuration: the incoming half decides alone, and voters that were to become learners do.
 *
 * @throws ConfChangeError if the configuration is not joint
 */
export function leaveJoint(from: Membership, limits: ChangerLimits): Membership {
  const draft = draftOf(from, limits);
  if (draft.outgoing.size === 0) throw new ConfChangeError("can't leave a non-joint config");
  for (const id of draft.learnersNext) {
    draft.learners.add(id);
    const progress = draft.progress.get(id);
    if (progress !== undefined) progress.isLearner = true;
  }
  draft.learnersNext = new Set();
  for (const id of draft.outgoing) {
    if (!draft.incoming.has(id) && !draft.learners.has(id)) draft.progress.delete(id);
  }
  draft.outgoing = new Set();
  draft.autoLeave = false;
  return finished(draft);
}

/**
 * Makes changes that together add or remove at most one voter, for which a joint configuration is not needed.
 *
 * @throws ConfChangeError if more than one voter changes, none is left, or the configuration is joint
 */
export function simpleChange(
  from: Membership,
  changes: readonly ConfChangeSingle[],
  limits: ChangerLimits,
): Membership {
  const draft = draftOf(from, limits);
  if (draft.outgoing.size > 0) throw new ConfChangeError("can't apply simple config change in joint config");
  applyAll(draft, changes);
  if (differences(from.config.voters.incoming, draft.incoming) > 1) {
    throw new ConfChangeError('more than one voter changed without entering joint config');
  }
  return finished(draft);
}

function applyAll(draft: Draft, changes: readonly ConfChangeSingle[]): void {
  for (const { type, nodeId } of changes) {
    // The application sets the node id of a change to zero to skip it.
    if (nodeId === 0n) continue;
    switch (type) {
      case ConfChangeType.ConfChangeAddNode:
        makeVoter(draft, nodeId);
        break;
      case ConfChangeType.ConfChangeAddLearnerNode:
        makeLearner(draft, nodeId);
        break;
      case ConfChangeType.ConfChangeRemoveNode:
        remove(draft, nodeId);
        break;
      case ConfChangeType.ConfChangeUpdateNode:
        break;
      default:
        throw new ConfChangeError(`unexpected conf type ${String(type)}`);
    }
  }
  if (draft.incoming.size === 0) throw new ConfChangeError('removed all voters');
}

function makeVoter(draft: Draft, id: bigint): void {
  const progress = draft.progress.get(id);
  draft.incoming.add(id);
  if (progress === undefined) {
    draft.progress.set(id, newProgress(draft.limits, false));
    return;
  }
  progress.isLearner = false;
  draft.learners.delete(id);
  draft.learnersNext.delete(id);
}

/** A voter of the outgoing half cannot be a learner yet: it waits in `learnersNext`. */
function makeLearner(draft: Draft, id: bigint): void {
  const progress = draft.progress.get(id);
  if (progress === undefined) {
    draft.learners.add(id);
    draft.progress.set(id, newProgress(draft.limits, true));
    return;
  }
  if (progress.isLearner) return;
  remove(draft, id);
  draft.progress.set(id, progress);
  if (draft.outgoing.has(id)) {
    draft.learnersNext.add(id);
  } else {
    progress.isLearner = true;
    draft.learners.add(id);
  }
}

function remove(draft: Draft, id: bigint): void {
  if (!draft.progress.has(id)) return;
  draft.incoming.delete(id);
  draft.learners.delete(id);
  draft.learnersNext.delete(id);
  if (!draft.outgoing.has(id)) draft.progress.delete(id);
}

function newProgress(limits: ChangerLimits, isLearner: boolean): Progress {
  return new Progress({
    match: 0,
    next: Math.max(limits.lastIndex, 1),
    inflights: new Inflights(limits.maxInflight, limits.maxInflightBytes),
    isLearner,
    // Otherwise a quorum check could fail before the new node can send a message.
    recentActive: true,
  });
}

function draftOf({ config, progress }: Membership, limits: ChangerLimits): Draft {
  const draft: Draft = {
    incoming: new Set(config.voters.incoming),
    outgoing: new Set(config.voters.outgoing),
    learners: new Set(config.learners),
    learnersNext: new Set(config.learnersNext),
    autoLeave: config.autoLeave,
    progress: new Map(),
    limits,
  };
  for (const [id, each] of progress) draft.progress.set(id, each.fork());
  checkInvariants(draft);
  return draft;
}

function finished(draft: Draft): Membership {
  checkInvariants(draft);
  const { incoming, outgoing, learners, learnersNext, autoLeave, progress } = draft;
  return { config: { voters: { incoming, outgoing }, learners, learnersNext, autoLeave }, progress };
}

function checkInvariants(draft: Draft): void {
  const { incoming, outgoing, learners, learnersNext, progress } = draft;
  for (const id of [...jointIds(draft), ...learners, ...learnersNext]) {
    if (!progress.has(id)) throw new ConfChangeError(`no progress for ${id}`);
  }
  for (const id of learnersNext) {
    if (!outgoing.has(id)) throw new ConfChangeError(`${id} is in LearnersNext, but not Voters[1]`);
    if (progress.get(id)?.isLearner === true) {
      throw new ConfChangeError(`${id} is in LearnersNext, but is already marked as learner`);
    }
  }
  for (const id of learners) {
    if (outgoing.has(id)) throw new ConfChangeError(`${id} is in Learners and Voters[1]`);
    if (incoming.has(id)) throw new ConfChangeError(`${id} is in Learners and Voters[0]`);
    if (progress.get(id)?.isLearner !== true) {
      throw new ConfChangeError(`${id} is in Learners, but is not marked as learner`);
    }
  }
  if (outgoing.size === 0) {
    if (learnersNext.size > 0) throw new ConfChangeError('cfg.LearnersNext must be nil when not joint');
    if (draft.autoLeave) throw new ConfChangeError('AutoLeave must be false when not joint');
  }
}

function differences(a: ReadonlySet<bigint>, b: ReadonlySet<bigint>): number {
  let count = 0;
  for (const id of a) if (!b.has(id)) count++;
  for (const id of b) if (!a.has(id)) count++;
  return count;
}
