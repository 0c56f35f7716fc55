import { assert } from '../lib/assert.ts';
import { hex } from '../lib/text.ts';
import { asV2, decodeConfChange, isConfChange } from './confchange/conf-change.ts';
import { describeConfChange } from './describe.ts';
import type { Raft } from './raft.ts';
import { broadcastAppend } from './replication.ts';
import { describeConfig } from './tracker/tracker.ts';
import { EntryType, None, StepError } from './types.ts';
import type { ConfChangeV2, Entry } from './types.ts';

/**
 * Appends the entries of a proposal to the leader's log, either all or none.
 *
 * @param entries owned by the log from here on: they are numbered in place
 */
export function acceptProposal(r: Raft, entries: readonly Entry[]): StepError | undefined {
  assert(entries.length > 0, 'a proposal has entries');
  if (!r.tracker.progress.has(r.id)) return StepError.ProposalDropped; // Removed while leading.
  if (r.leadTransferee !== None) {
    r.logger.debug(
      `${hex(r.id)} [term ${r.term}] transfer leadership to ${hex(r.leadTransferee)} is in progress; ` +
        'dropping proposal',
    );
    return StepError.ProposalDropped;
  }
  const first = r.log.lastIndex() + 1;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i];
    if (entry !== undefined && isConfChange(entry)) admitConfChange(r, entry, first + i);
  }
  if (!r.appendEntries(entries)) return StepError.ProposalDropped;
  broadcastAppend(r);
  return undefined;
}

/** Replaces a change that is not allowed now by an empty entry. Its proposer sees an entry without effect. */
function admitConfChange(r: Raft, entry: Entry, index: number): void {
  const change = asV2(decodeConfChange(entry));
  const objection = r.config.disableConfChangeValidation ? undefined : objectionTo(r, change);
  if (objection === undefined) {
    r.pendingConfIndex = index;
    return;
  }
  r.logger.info(
    `${hex(r.id)} ignoring conf change ${describeConfChange(change)} at config ` +
      `${describeConfig(r.tracker.config)}: ${objection}`,
  );
  entry.type = EntryType.EntryNormal;
  entry.data = undefined;
}

function objectionTo(r: Raft, change: ConfChangeV2): string | undefined {
  const isJoint = r.tracker.config.voters.outgoing.size > 0;
  const wantsToLeave = change.changes.length === 0;
  if (r.pendingConfIndex > r.log.applied) {
    return `possible unapplied conf change at index ${r.pendingConfIndex} (applied to ${r.log.applied})`;
  }
  if (isJoint && !wantsToLeave) return 'must transition out of joint config first';
  if (!isJoint && wantsToLeave) return 'not in joint state; refusing empty conf change';
  return undefined;
}
