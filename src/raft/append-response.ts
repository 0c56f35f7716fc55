import { releasePendingReads } from './leader-reads.ts';
import type { Raft } from './raft.ts';
import { broadcastAppend, maybeCommit, maybeSendAppend, sendAppend } from './replication.ts';
import { ProgressState } from './tracker/progress.ts';
import type { Progress } from './tracker/progress.ts';
import { MessageType, hex, newMessage } from './types.ts';
import type { Message } from './types.ts';

/** A node's answer to an append, the leader's own durable write included. */
export function handleAppendResponse(r: Raft, message: Message, progress: Progress): void {
  progress.recentActive = true;
  if (message.reject) {
    handleRejection(r, message, progress);
    return;
  }
  // An acknowledgement of what was known already still tells a probing leader that the node is there.
  const isProbeAnswer = progress.state === ProgressState.Probe && progress.match === message.index;
  if (!progress.maybeUpdate(message.index) && !isProbeAnswer) return;
  resumeReplication(r, message, progress);
  const isOther = message.from !== r.id;
  if (maybeCommit(r)) {
    releasePendingReads(r);
    broadcastAppend(r);
  } else if (isOther && progress.canBumpCommit(r.log.committed)) {
    sendAppend(r, message.from);
  }
  if (isOther) {
    // Room in the window may be enough for several messages.
    while (maybeSendAppend(r, message.from, false));
  }
  if (message.from === r.leadTransferee && progress.match === r.log.lastIndex()) {
    r.logger.info(`${hex(r.id)} sent MsgTimeoutNow to ${hex(message.from)} after received MsgAppResp`);
    r.send(newMessage(MessageType.MsgTimeoutNow, message.from));
  }
}

function resumeReplication(r: Raft, message: Message, progress: Progress): void {
  switch (progress.state) {
    case ProgressState.Probe:
      progress.becomeReplicate();
      break;
    case ProgressState.Snapshot:
      // Whatever snapshot it applied, of whatever index: it counts if the log can take over from there.
      if (progress.match + 1 < r.log.firstIndex()) break;
      r.logger.debug(
        `${hex(r.id)} recovered from needing snapshot, resumed sending replication messages ` +
          `to ${hex(message.from)} [${progress.describe()}]`,
      );
      progress.becomeProbe();
      progress.becomeReplicate();
      break;
    case ProgressState.Replicate:
      progress.inflights.freeUpTo(message.index);
      break;
  }
}

/**
 * Steps back to where the logs may match. The follower hints at its last entry whose term is not above that of
 * the append; our entries whose term is above the hint's cannot match either, so at most one probe a term is
 * needed (an extension of the thesis' 5.3 hint).
 */
function handleRejection(r: Raft, message: Message, progress: Progress): void {
  const from = hex(message.from);
  r.logger.debug(
    `${hex(r.id)} received MsgAppResp(rejected, hint: (index ${message.rejectHint}, term ${message.logTerm})) ` +
      `from ${from} for index ${message.index}`,
  );
  const next =
    message.logTerm > 0
      ? r.log.findConflictByTerm(message.rejectHint, message.logTerm).index
      : message.rejectHint;
  if (!progress.maybeDecrTo(message.index, next)) return;
  r.logger.debug(`${hex(r.id)} decreased progress of ${from} to [${progress.describe()}]`);
  if (progress.state === ProgressState.Replicate) progress.becomeProbe();
  sendAppend(r, message.from);
}
