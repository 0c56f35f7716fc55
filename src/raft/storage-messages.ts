import type { Raft } from './raft.ts';
import { LocalAppendThread, LocalApplyThread, MessageType, newMessage } from './types.ts';
import type { Entry, HardState, Message, Snapshot } from './types.ts';

/** What one turn of the loop must make durable. */
export interface StorageWrite {
  readonly entries: Entry[];
  readonly hardState: HardState | undefined;
  readonly snapshot: Snapshot | undefined;
}

/** Whether something has to be written, or messages wait for writes before this one. */
export function needsAppend(r: Raft, write: StorageWrite): boolean {
  return (
    write.entries.length > 0 ||
    write.hardState !== undefined ||
    write.snapshot !== undefined ||
    r.messagesAfterAppend.length > 0
  );
}

/** The write request, with the messages to send when it and all before it are durable. */
export function appendMessage(r: Raft, write: StorageWrite): Message {
  const message = newMessage(MessageType.MsgStorageAppend, LocalAppendThread);
  message.from = r.id;
  message.entries = write.entries;
  if (write.hardState !== undefined) {
    message.term = write.hardState.term;
    message.vote = write.hardState.vote;
    message.commit = write.hardState.commit;
  }
  message.snapshot = write.snapshot;
  message.responses = r.messagesAfterAppend;
  const done = appendResponse(r, write);
  // After the leader's acknowledgement to itself, which looks up the term while the entries are still unstable.
  if (done !== undefined) message.responses.push(done);
  return message;
}

/**
 * The response that tells raft that everything written so far is durable; undefined if it has no news for raft.
 *
 * It names the end of the log and the term of now, and counts only while that term lasts. Without the term there would
 * be an ABA problem: entries of an old leader, replaced by those of a new one and then, by the return of the first, by
 * the same entries again, would be taken for durable when the first write of them ends, while the second write, of the
 * other leader's entries, is still to overwrite them. Since acknowledgements of older terms are lost thereby, every
 * response with entries outstanding names the end of the log, not only those to a write that brought entries: the write
 * that follows a change of term makes up for them.
 */
export function appendResponse(r: Raft, { snapshot }: StorageWrite): Message | undefined {
  const unstable = r.log.hasNextOrInProgressUnstableEntries();
  if (!unstable && snapshot === undefined) return undefined;
  const message = newMessage(MessageType.MsgStorageAppendResp, r.id);
  message.from = LocalAppendThread;
  message.term = r.term;
  if (unstable) {
    const last = r.log.lastEntryId();
    message.index = last.index;
    message.logTerm = last.term;
  }
  message.snapshot = snapshot;
  return message;
}

/** The apply request. It and its response have no term, since committed entries stay committed in every term. */
export function applyMessage(r: Raft, entries: Entry[]): Message {
  const message = newMessage(MessageType.MsgStorageApply, LocalApplyThread);
  message.from = r.id;
  message.entries = entries;
  message.responses.push(applyResponse(r, entries));
  return message;
}

export function applyResponse(r: Raft, entries: Entry[]): Message {
  const message = newMessage(MessageType.MsgStorageApplyResp, r.id);
  message.from = LocalApplyThread;
  message.entries = entries;
  return message;
}
