import { assert, defined } from '../lib/assert.ts';
import { hex } from '../lib/text.ts';
import { payloadsSize } from './entry-size.ts';
import type { Raft } from './raft.ts';
import { ProgressState } from './tracker/progress.ts';
import type { Progress } from './tracker/progress.ts';
import { MessageType, isEmptySnapshot, newMessage, snapshotIndex, snapshotTerm } from './types.ts';
import type { Entry } from './types.ts';

/** Sends an append, empty if there is nothing new, to a node that is not paused. */
export function sendAppend(r: Raft, to: bigint): void {
  maybeSendAppend(r, to, true);
}

/**
 * Sends the next entries to the node, or a snapshot if these are compacted.
 *
 * @param evenIfEmpty whether to send an append without entries, which tells the commit index and probes
 * @returns whether something was sent
 */
export function maybeSendAppend(r: Raft, to: bigint, evenIfEmpty: boolean): boolean {
  const progress = defined(r.tracker.progress.get(to), 'appends are sent to nodes of the configuration');
  if (progress.isPaused()) return false;
  const previous = progress.next - 1;
  const previousTerm = r.log.term(previous);
  if (typeof previousTerm !== 'number') return maybeSendSnapshot(r, to, progress);

  // With a full window the append is empty: should all those in flight be lost, its answer restarts the flow.
  const throttled = progress.state === ProgressState.Replicate && progress.inflights.full();
  const found = throttled ? [] : r.log.entriesFrom(progress.next, r.config.maxSizePerMessage);
  const entries = Array.isArray(found) ? found : [];
  if (entries.length === 0 && !evenIfEmpty) return false;
  if (!Array.isArray(found)) return maybeSendSnapshot(r, to, progress);
  sendEntries(r, { to, progress, previousTerm, entries });
  return true;
}

interface Append {
  readonly to: bigint;
  readonly progress: Progress;
  readonly previousTerm: number;
  readonly entries: Entry[];
}

function sendEntries(r: Raft, { to, progress, previousTerm, entries }: Append): void {
  const message = newMessage(MessageType.MsgApp, to);
  message.index = progress.next - 1;
  message.logTerm = previousTerm;
  message.entries = entries;
  message.commit = r.log.committed;
  r.send(message);
  progress.sentEntries(entries.length, payloadsSize(entries));
  progress.sentCommit(r.log.committed);
}

function maybeSendSnapshot(r: Raft, to: bigint, progress: Progress): boolean {
  if (!progress.recentActive) {
    r.logger.debug(`ignore sending snapshot to ${hex(to)} since it is not recently active`);
    return false;
  }
  const snapshot = r.log.snapshot();
  if (snapshot === 'temporarily-unavailable') {
    r.logger.debug(
      `${hex(r.id)} failed to send snapshot to ${hex(to)} because snapshot is temporarily unavailable`,
    );
    return false;
  }
  assert(!isEmptySnapshot(snapshot), 'a compacted log has a snapshot');
  const index = snapshotIndex(snapshot);
  r.logger.debug(
    `${hex(r.id)} [firstindex: ${r.log.firstIndex()}, commit: ${r.log.committed}] sent ` +
      `snapshot[index: ${index}, term: ${snapshotTerm(snapshot)}] to ${hex(to)} [${progress.describe()}]`,
  );
  progress.becomeSnapshot(index);
  r.logger.debug(`${hex(r.id)} paused sending replication messages to ${hex(to)} [${progress.describe()}]`);
  const message = newMessage(MessageType.MsgSnap, to);
  message.snapshot = snapshot;
  r.send(message);
  return true;
}

export function broadcastAppend(r: Raft): void {
  for (const id of r.tracker.progress.keys()) {
    if (id !== r.id) sendAppend(r, id);
  }
}

/** A heartbeat to everyone; it carries what confirms the reads now waiting. */
export function broadcastHeartbeat(r: Raft): void {
  const context = r.readOnly.heartbeatContext();
  for (const [id, progress] of r.tracker.progress) {
    if (id === r.id) continue;
    // Only what is known to match: beyond that the node may hold entries of another leader at these indexes.
    const commit = Math.min(progress.match, r.log.committed);
    const message = newMessage(MessageType.MsgHeartbeat, id);
    message.commit = commit;
    message.context = context;
    r.send(message);
    progress.sentCommit(commit);
  }
}

/** Commits what a quorum holds by now. @returns whether that is more than before */
export function maybeCommit(r: Raft): boolean {
  return r.log.maybeCommit(r.term, r.tracker.committed());
}
