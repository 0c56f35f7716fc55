import { MessageType } from '../wire/gen/raftpb.ts';
import type { Entry, HardState, Message, Snapshot } from '../wire/gen/raftpb.ts';

export {
  ConfChange,
  ConfChangeSingle,
  ConfChangeTransition,
  ConfChangeType,
  ConfChangeV2,
  EntryType,
  MessageType,
} from '../wire/gen/raftpb.ts';
export type { ConfState, Entry, HardState, Message, Snapshot } from '../wire/gen/raftpb.ts';

/** "No node": the leader of a node that knows none, the vote of a node that has not voted. */
export const None = 0n;

/** Target of `MsgStorageAppend`: the code that makes the log durable. Never a node id. */
export const LocalAppendThread = 0xffff_ffff_ffff_ffffn;

/** Target of `MsgStorageApply`: the code that applies committed entries. Never a node id. */
export const LocalApplyThread = 0xffff_ffff_ffff_fffen;

/** Lifts a byte or index limit; also the committed index of an empty quorum, which constrains nothing. */
export const NoLimit = Infinity;

/** The role a node plays in its term, under the names that status and log lines use. */
export const Role = {
  Follower: 'StateFollower',
  Candidate: 'StateCandidate',
  Leader: 'StateLeader',
  PreCandidate: 'StatePreCandidate',
} as const;
export type Role = (typeof Role)[keyof typeof Role];

/** Volatile state, worth telling the application about but never persisted. */
export interface SoftState {
  readonly lead: bigint;
  readonly role: Role;
}

/** The answer to a `readIndex`: a read is linearizable once the state machine has applied `index`. */
export interface ReadState {
  readonly index: number;
  readonly requestCtx: Buffer;
}

/** Why a message or proposal was refused; the value is the text to show. */
export const StepError = {
  /** There is no leader to take it, a leader transfer is under way, or a limit is reached: try again later. */
  ProposalDropped: 'raft proposal dropped',
  /** A message type that only ever travels inside a node came from outside. */
  LocalMessage: 'raft: cannot step raft local message',
  /** A response from a node that is not in the configuration. */
  PeerNotFound: 'raft: cannot step as peer not found',
} as const;
export type StepError = (typeof StepError)[keyof typeof StepError];

/** The work one turn of the loop has to do. Everything in it is read-only for the application. */
export interface Ready {
  /** Set when leader or role changed. */
  readonly softState: SoftState | undefined;
  /** Set when term, vote or commit changed; to be saved no later than `entries`. */
  readonly hardState: HardState | undefined;
  readonly readStates: readonly ReadState[];
  /** To be made durable before `messages` leave (sync mode only; async mode has them in `MsgStorageAppend`). */
  readonly entries: Entry[];
  /** To be made durable and applied before anything else. */
  readonly snapshot: Snapshot | undefined;
  /** To be applied in order; all of them are in an earlier or in this `entries`. */
  readonly committedEntries: Entry[];
  readonly messages: Message[];
  /** Whether the save must be synced; false when only the commit index moved. */
  readonly mustSync: boolean;
}

export function isEmptyHardState(state: HardState | undefined): boolean {
  return state === undefined || (state.term === 0 && state.vote === None && state.commit === 0);
}

export function snapshotIndex(snapshot: Snapshot): number {
  return snapshot.metadata?.index ?? 0;
}

export function snapshotTerm(snapshot: Snapshot): number {
  return snapshot.metadata?.term ?? 0;
}

export function isEmptySnapshot(snapshot: Snapshot | undefined): boolean {
  return snapshot === undefined || snapshotIndex(snapshot) === 0;
}

const localTypes: ReadonlySet<MessageType> = new Set([
  MessageType.MsgHup,
  MessageType.MsgBeat,
  MessageType.MsgUnreachable,
  MessageType.MsgSnapStatus,
  MessageType.MsgCheckQuorum,
  MessageType.MsgStorageAppend,
  MessageType.MsgStorageAppendResp,
  MessageType.MsgStorageApply,
  MessageType.MsgStorageApplyResp,
]);

const responseTypes: ReadonlySet<MessageType> = new Set([
  MessageType.MsgAppResp,
  MessageType.MsgVoteResp,
  MessageType.MsgHeartbeatResp,
  MessageType.MsgUnreachable,
  MessageType.MsgReadIndexResp,
  MessageType.MsgPreVoteResp,
  MessageType.MsgStorageAppendResp,
  MessageType.MsgStorageApplyResp,
]);

/** Whether messages of this type never leave the node, so that a peer sending one is at fault. */
export function isLocalMessage(type: MessageType): boolean {
  return localTypes.has(type);
}

export function isResponseMessage(type: MessageType): boolean {
  return responseTypes.has(type);
}

export function isLocalTarget(id: bigint): boolean {
  return id === LocalAppendThread || id === LocalApplyThread;
}

/** A message with every field at its default, in the codec's order of fields, so that all share one object shape. */
export function newMessage(type: MessageType, to: bigint): Message {
  return {
    type,
    to,
    from: None,
    term: 0,
    logTerm: 0,
    index: 0,
    entries: [],
    commit: 0,
    snapshot: undefined,
    reject: false,
    rejectHint: 0,
    context: undefined,
    vote: None,
    responses: [],
  };
}

export function byId(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
