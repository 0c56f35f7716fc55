/**
 * The records between the member and raft when raft has a thread of its own. Each starts with its kind (u8); its fields
 * are listed here.
 */

/** From the member to raft. */
export const ToRaft = {
  /** Ticks begin: u32 milliseconds between two. */
  START: 1,
  /** bytes the request. */
  PROPOSE: 2,
  /** Proposals that wait for a leader are dropped. */
  WITHDRAW: 3,
  /** bytes `ConfChange`. */
  PROPOSE_CHANGE: 4,
  /** bytes the context. */
  READ_INDEX: 5,
  /** The oldest batches of committed entries are applied: u32 how many. */
  APPLIED: 6,
  /** The entry of a change is applied: u32 snapshots installed before, bytes `ConfChange`. */
  APPLY_CHANGE: 7,
  /** A message of another member: bytes `Message`. */
  STEP: 8,
  TICK: 9,
  /** u64 the id of the successor. */
  TRANSFER: 10,
  /** u64 the id of the member. */
  UNREACHABLE: 11,
  /** The transfer of a snapshot has ended: u64 the id of the member, u8 whether it is saved there. */
  SNAPSHOT_ENDED: 12,
  FORGET_LEADER: 13,
  CAMPAIGN: 14,
  /** The store of a snapshot is in place, and the log was released. */
  INSTALLED: 15,
  /** The log on disk is released: u32 number of the request, bytes `Snapshot` of the log. */
  RELEASE: 16,
  /** Entries are removed from memory: f64 up to which index, f64 the index of the store, bytes `ConfState`. */
  REMOVE: 17,
  /** No turns follow. */
  STOP: 18,
} as const;

/** From raft to the member. */
export const FromRaft = {
  /** u64 leader, u8 index in `ROLES`, f64 term. */
  LEADERSHIP: 1,
  /** u32 number of entries; each is u8 type, f64 term, f64 index, u8 whether it has data, bytes data. */
  COMMITTED: 2,
  /** f64 index, bytes the context. */
  READABLE: 3,
  /** A message for another member: bytes `Message`. */
  SEND: 4,
  /** A proposal was dropped: u8 index in `REFUSALS`, bytes the request. */
  DROPPED: 5,
  /** A change of the configuration was refused: u64 its id, u8 index in `REFUSALS`. */
  CHANGE_REFUSED: 6,
  /** A snapshot is to be installed: bytes `Snapshot` of raft. */
  INSTALL: 7,
  /** u32 number of the request. */
  RELEASED: 8,
  TICKED: 9,
  /** The leader's view of the members: u64 successor, u32 number; each is u64 id, f64 match, u8 flags. */
  PROGRESS: 10,
  /** The figures of `RaftFigures`, in their order, each f64 except u64 the vote. */
  FIGURES: 11,
  /** A write to the log is on disk: f64 milliseconds, f64 bytes, f64 milliseconds to fill the buffer. */
  SYNCED: 12,
} as const;

/** Bits of the flags of a member's progress. */
export const IS_LEARNER = 1;
export const RECENT_ACTIVE = 2;

/** What the member knows of raft besides the leadership. It may be some milliseconds old. */
export interface RaftFigures {
  readonly term: number;
  readonly committed: number;
  readonly appendsBegun: number;
  readonly appendsDone: number;
  readonly unwrittenBytes: number;
  readonly unreleasedBytes: number;
  readonly room: number;
  readonly firstIndex: number;
  readonly waitingProposals: number;
  /** Bytes of the messages of other members that raft has taken. */
  readonly steppedBytes: number;
  readonly vote: bigint;
}
