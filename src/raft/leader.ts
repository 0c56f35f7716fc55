import { assert } from '../lib/assert.ts';
import { hex } from '../lib/text.ts';
import { handleAppendResponse } from './append-response.ts';
import { handleHeartbeatResponse, handleReadIndex } from './leader-reads.ts';
import { acceptProposal } from './proposals.ts';
import type { Raft } from './raft.ts';
import { broadcastHeartbeat, sendAppend } from './replication.ts';
import { ProgressState } from './tracker/progress.ts';
import type { Progress } from './tracker/progress.ts';
import { MessageType, None, Role, newMessage } from './types.ts';
import type { Message, StepError } from './types.ts';

export function tickLeader(r: Raft): void {
  r.heartbeatElapsed++;
  r.electionElapsed++;
  if (r.electionElapsed >= r.config.electionTick) {
    r.electionElapsed = 0;
    if (r.config.checkQuorum) checkQuorum(r);
    // A transfer that takes longer than an election timeout is aborted, and proposals are accepted again.
    if (r.role === Role.Leader) r.leadTransferee = None;
  }
  if (r.role !== Role.Leader) return;
  if (r.heartbeatElapsed >= r.config.heartbeatTick) {
    r.heartbeatElapsed = 0;
    broadcastHeartbeat(r);
  }
}

/** Handles a message of its term on a leader. */
export function stepLeader(r: Raft, message: Message): StepError | undefined {
  switch (message.type) {
    case MessageType.MsgBeat:
      broadcastHeartbeat(r);
      return undefined;
    case MessageType.MsgCheckQuorum:
      checkQuorum(r);
      return undefined;
    case MessageType.MsgProp:
      // The entries of a message may be in use elsewhere, so they are copied: accepting them changes them.
      return acceptProposal(
        r,
        message.entries.map((entry) => ({ ...entry })),
      );
    case MessageType.MsgReadIndex:
      handleReadIndex(r, message);
      return undefined;
    case MessageType.MsgForgetLeader:
      return undefined;
    default:
  }
  const progress = r.tracker.progress.get(message.from);
  if (progress === undefined) {
    r.logger.debug(`${hex(r.id)} no progress available for ${hex(message.from)}`);
    return undefined;
  }
  stepWithProgress(r, message, progress);
  return undefined;
}

function stepWithProgress(r: Raft, message: Message, progress: Progress): void {
  switch (message.type) {
    case MessageType.MsgAppResp:
      handleAppendResponse(r, message, progress);
      break;
    case MessageType.MsgHeartbeatResp:
      handleHeartbeatResponse(r, message, progress);
      break;
    case MessageType.MsgSnapStatus:
      handleSnapshotStatus(r, message, progress);
      break;
    case MessageType.MsgUnreachable:
      // The appends in flight are probably lost.
      if (progress.state === ProgressState.Replicate) progress.becomeProbe();
      r.logger.debug(
        `${hex(r.id)} failed to send message to ${hex(message.from)} because it is unreachable ` +
          `[${progress.describe()}]`,
      );
      break;
    case MessageType.MsgTransferLeader:
      handleTransfer(r, message.from, progress);
      break;
    case MessageType.MsgApp:
    case MessageType.MsgHeartbeat:
    case MessageType.MsgSnap:
      assert(message.term === 0, 'a term has at most one leader');
      break;
    default:
  }
}

/** Steps down if no quorum was active since the last check: it may have elected another leader. */
function checkQuorum(r: Raft): void {
  if (!r.tracker.quorumActive()) {
    r.logger.warn(`${hex(r.id)} stepped down to follower since quorum is not active`);
    r.becomeFollower(r.term, None);
  }
  for (const [id, progress] of r.tracker.progress) {
    if (id !== r.id) progress.recentActive = false;
  }
}

function handleSnapshotStatus(r: Raft, message: Message, progress: Progress): void {
  if (progress.state !== ProgressState.Snapshot) return;
  // Cleared before probing. Otherwise the probe would start after a snapshot that was never applied.
  if (message.reject) progress.pendingSnapshot = 0;
  progress.becomeProbe();
  r.logger.debug(
    `${hex(r.id)} snapshot ${message.reject ? 'failed' : 'succeeded'}, resumed sending replication messages ` +
      `to ${hex(message.from)} [${progress.describe()}]`,
  );
  // The next append waits until the node acknowledges the snapshot, or for a heartbeat response.
  progress.flowPaused = true;
}

function handleTransfer(r: Raft, transferee: bigint, progress: Progress): void {
  const me = `${hex(r.id)} [term ${r.term}]`;
  const to = hex(transferee);
  if (progress.isLearner) {
    r.logger.debug(`${hex(r.id)} is learner. Ignored transferring leadership`);
    return;
  }
  const previous = r.leadTransferee;
  if (previous === transferee) {
    r.logger.info(`${me} transfer leadership to ${to} is in progress, ignores request to same node ${to}`);
    return;
  }
  if (previous !== None) {
    r.leadTransferee = None;
    r.logger.info(`${me} abort previous transferring leadership to ${hex(previous)}`);
  }
  if (transferee === r.id) {
    r.logger.debug(`${hex(r.id)} is already leader. Ignored transferring leadership to self`);
    return;
  }
  r.logger.info(`${me} starts to transfer leadership to ${to}`);
  r.electionElapsed = 0;
  r.leadTransferee = transferee;
  if (progress.match === r.log.lastIndex()) {
    sendTimeoutNow(r, transferee);
    r.logger.info(
      `${hex(r.id)} sends MsgTimeoutNow to ${to} immediately as ${to} already has up-to-date log`,
    );
  } else {
    sendAppend(r, transferee);
  }
}

/** Tells a node that has the whole log to campaign at once. */
export function sendTimeoutNow(r: Raft, to: bigint): void {
  r.send(newMessage(MessageType.MsgTimeoutNow, to));
}
