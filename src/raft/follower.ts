import { assert } from '../lib/assert.ts';
import { hex } from '../lib/text.ts';
import { EMPTY } from '../wire/reader.ts';
import { CampaignType, startElection } from './election.ts';
import { restoreSnapshot } from './membership.ts';
import type { Raft } from './raft.ts';
import { ReadOnlyOption } from './read-only.ts';
import { MessageType, None, StepError, newMessage, snapshotIndex, snapshotTerm } from './types.ts';
import type { Message } from './types.ts';

/** Handles a message of its term on a follower. */
export function stepFollower(r: Raft, message: Message): StepError | undefined {
  switch (message.type) {
    case MessageType.MsgProp:
      return handleProposal(r, message);
    case MessageType.MsgApp:
      hearFromLeader(r, message.from);
      handleAppend(r, message);
      break;
    case MessageType.MsgHeartbeat:
      hearFromLeader(r, message.from);
      handleHeartbeat(r, message);
      break;
    case MessageType.MsgSnap:
      hearFromLeader(r, message.from);
      handleSnapshot(r, message);
      break;
    case MessageType.MsgTransferLeader:
      if (r.lead === None) {
        r.logger.info(`${hex(r.id)} no leader at term ${r.term}; dropping leader transfer msg`);
        break;
      }
      r.forward(message);
      break;
    case MessageType.MsgForgetLeader:
      forgetLeader(r);
      break;
    case MessageType.MsgTimeoutNow:
      r.logger.info(
        `${hex(r.id)} [term ${r.term}] received MsgTimeoutNow from ${hex(message.from)} ` +
          'and starts an election to get leadership.',
      );
      // Without pre-vote, since the leader itself requests this election.
      startElection(r, CampaignType.Transfer);
      break;
    case MessageType.MsgReadIndex:
      if (r.lead === None) {
        r.logger.info(`${hex(r.id)} no leader at term ${r.term}; dropping index reading msg`);
        break;
      }
      r.forward(message);
      break;
    case MessageType.MsgReadIndexResp:
      handleReadIndexResponse(r, message);
      break;
    default:
  }
  return undefined;
}

function handleProposal(r: Raft, message: Message): StepError | undefined {
  if (r.lead === None) {
    r.logger.info(`${hex(r.id)} no leader at term ${r.term}; dropping proposal`);
    return StepError.ProposalDropped;
  }
  if (r.config.disableProposalForwarding) {
    r.logger.info(
      `${hex(r.id)} not forwarding to leader ${hex(r.lead)} at term ${r.term}; dropping proposal`,
    );
    return StepError.ProposalDropped;
  }
  r.forward(message);
  return undefined;
}

function hearFromLeader(r: Raft, from: bigint): void {
  assert(r.lead === None || r.lead === from, 'a term has at most one leader');
  r.electionElapsed = 0;
  r.lead = from;
}

function forgetLeader(r: Raft): void {
  if (r.config.readOnlyOption === ReadOnlyOption.LeaseBased) {
    // Another leader could be elected while the old one still serves reads by its lease.
    r.logger.error('ignoring MsgForgetLeader due to ReadOnlyLeaseBased');
    return;
  }
  if (r.lead === None) return;
  r.logger.info(`${hex(r.id)} forgetting leader ${hex(r.lead)} at term ${r.term}`);
  r.lead = None;
}

function handleReadIndexResponse(r: Raft, message: Message): void {
  const [entry, ...more] = message.entries;
  if (entry === undefined || more.length > 0) {
    r.logger.error(
      `${hex(r.id)} invalid format of MsgReadIndexResp from ${hex(message.from)}, ` +
        `entries count: ${message.entries.length}`,
    );
    return;
  }
  r.readStates.push({ index: message.index, requestCtx: entry.data ?? EMPTY });
}

/** Whether the entries follow the previous position, with terms that never decrease or exceed the leader's. */
function isWellFormedAppend(message: Message): boolean {
  let { index, logTerm: term } = message;
  for (const entry of message.entries) {
    index++;
    if (entry.index !== index || entry.term < term) return false;
    term = entry.term;
  }
  return term <= message.term;
}

export function handleAppend(r: Raft, message: Message): void {
  const { log } = r;
  if (!isWellFormedAppend(message)) {
    r.logger.error(`${hex(r.id)} ignored a malformed MsgApp from ${hex(message.from)}`);
    return;
  }
  const response = newMessage(MessageType.MsgAppResp, message.from);
  if (message.index < log.committed) {
    // Committed entries are known to match, even if the leader does not know it.
    response.index = log.committed;
    r.send(response);
    return;
  }
  const previous = { term: message.logTerm, index: message.index };
  const matched = log.maybeAppend(previous, message.entries, message.commit);
  if (matched !== undefined) {
    response.index = matched;
    r.send(response);
    return;
  }
  r.logger.debug(
    `${hex(r.id)} [logterm: ${log.termOrZero(message.index)}, index: ${message.index}] rejected MsgApp ` +
      `[logterm: ${message.logTerm}, index: ${message.index}] from ${hex(message.from)}`,
  );
  // With a hint where the logs may match, the leader skips the diverged end of this log in one step.
  const hint = log.findConflictByTerm(Math.min(message.index, log.lastIndex()), message.logTerm);
  response.index = message.index;
  response.reject = true;
  response.rejectHint = hint.index;
  response.logTerm = hint.term;
  r.send(response);
}

export function handleHeartbeat(r: Raft, message: Message): void {
  r.log.commitTo(message.commit);
  const response = newMessage(MessageType.MsgHeartbeatResp, message.from);
  response.context = message.context;
  r.send(response);
}

export function handleSnapshot(r: Raft, message: Message): void {
  const { snapshot } = message;
  const restored = snapshot !== undefined && restoreSnapshot(r, snapshot);
  const id = snapshot === undefined ? [0, 0] : [snapshotIndex(snapshot), snapshotTerm(snapshot)];
  r.logger.info(
    `${hex(r.id)} [commit: ${r.log.committed}] ${restored ? 'restored' : 'ignored'} snapshot ` +
      `[index: ${String(id[0])}, term: ${String(id[1])}]`,
  );
  const response = newMessage(MessageType.MsgAppResp, message.from);
  response.index = restored ? r.log.lastIndex() : r.log.committed;
  r.send(response);
}
