import { EMPTY } from '../wire/reader.ts';
import type { Raft } from './raft.ts';
import { ReadOnlyOption } from './read-only.ts';
import { broadcastHeartbeat, sendAppend } from './replication.ts';
import { ProgressState } from './tracker/progress.ts';
import type { Progress } from './tracker/progress.ts';
import { MessageType, None, newMessage } from './types.ts';
import type { Message } from './types.ts';

export function handleReadIndex(r: Raft, request: Message): void {
  // Before an entry of its term is committed, a leader may not know the latest commits (thesis, 6.4). This applies to
  // the only voter too: after a crash its commit index may be older than what it has acknowledged.
  if (!committedInCurrentTerm(r)) {
    r.pendingReadIndex.push(request);
    return;
  }
  confirm(r, request);
}

/** Resumes the reads that waited for the leader's first commit. */
export function releasePendingReads(r: Raft): void {
  if (r.pendingReadIndex.length === 0) return;
  if (!committedInCurrentTerm(r)) {
    r.logger.error('pending MsgReadIndex should be released only after first commit in current term');
    return;
  }
  const requests = r.pendingReadIndex;
  r.pendingReadIndex = [];
  for (const request of requests) confirm(r, request);
}

function confirm(r: Raft, request: Message): void {
  if (r.readOnly.option === ReadOnlyOption.LeaseBased || r.tracker.isSingleton()) {
    answer(r, request, r.log.committed);
    return;
  }
  r.readOnly.add(r.log.committed, request);
  r.readOnly.receiveAck(r.id, r.readOnly.heartbeatContext());
  broadcastHeartbeat(r);
}

export function handleHeartbeatResponse(r: Raft, message: Message, progress: Progress): void {
  progress.recentActive = true;
  progress.flowPaused = false;
  // Restarts replication if messages or their responses were lost.
  if (progress.match < r.log.lastIndex() || progress.state === ProgressState.Probe)
    sendAppend(r, message.from);
  if (r.readOnly.option !== ReadOnlyOption.Safe || (message.context?.length ?? 0) === 0) return;
  r.readOnly.receiveAck(message.from, message.context);
  for (const { request, index } of r.readOnly.takeConfirmed(r.tracker.config.voters)) {
    answer(r, request, index);
  }
}

function answer(r: Raft, request: Message, index: number): void {
  if (request.from === None || request.from === r.id) {
    r.readStates.push({ index, requestCtx: request.entries[0]?.data ?? EMPTY });
    return;
  }
  const response = newMessage(MessageType.MsgReadIndexResp, request.from);
  response.index = index;
  response.entries = request.entries;
  r.send(response);
}

function committedInCurrentTerm(r: Raft): boolean {
  return r.log.termOrZero(r.log.committed) === r.term;
}
