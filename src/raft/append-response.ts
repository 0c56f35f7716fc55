import { hex } from '../lib/text.ts';
import { releasePendingReads } from './leader-reads.ts';
import type { Raft } from './raft.ts';
import { broadcastAppend, maybeCommit, maybeSendAppend, sendAppend } from './replication.ts';
import { ProgressState } from './tracker/progress.ts';
import type { Progress } from './tracker/progress.ts';
import { MessageType, newMessage } from './types.ts';
import type { Message } from './types.ts';

/** Handles a node's response to an append, including the leader's own durable write. */
export function handleAppendResponse(r: Raft, message: Message, progress: Progress): void {
  progress.recentActive = true;
  // No member can hold more than its leader sent. A match beyond the log would be replicated from where nothing is.
  if (!message.reject && message.index > r.log.lastIndex()) return;
  if (message.reject) {
    handleRejection(r, message, progress);
    return;
  }
  // An acknowledgement without news still tells a probing leader that the node is reachable.
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
    // The freed window may be enough for several messages.
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
      // The node may have applied any snapshot: it counts if the log continues from its index.
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
 * Steps back to where the logs may match. The follower's hint is its last entry whose term is not higher than that of
 * the append. Entries of this log with a higher term than the hint cannot match either. So at most one probe for each
 * term is needed (an extension of the hint in the thesis, 5.3).
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
