import type { LogSnapshot } from '../ports/log-store.ts';
import type { Progress } from '../raft/tracker/progress.ts';
import type { Status } from '../raft/status.ts';
import type { ConfChange, ConfState, Entry, Message, Role, Snapshot, StepError } from '../raft/types.ts';
import type { ReadQueue, ReadWaiter } from './read-queue.ts';

/** The leader's view of one member. */
export type MemberProgress = Pick<Progress, 'match' | 'isLearner' | 'recentActive'>;

export interface ConsensusStatus extends Omit<Status, 'progress'> {
  /** Ordered by id; empty unless this member leads. */
  readonly progress: ReadonlyMap<bigint, MemberProgress>;
}

/** The view of raft for the rest of the member. */
export interface Consensus {
  /** The id of the leader, possibly this member; 0 while there is none. */
  readonly lead: bigint;
  readonly role: Role;
  readonly committed: number;
  /** The applied index as raft knows it. The store may be ahead of it. */
  readonly applied: number;
  /** Number of appends passed to the log, and number of them that are on disk. */
  readonly appendsBegun: number;
  readonly appendsDone: number;
  status(): ConsensusStatus;
  /** As leader, transfers the leadership to a voter. Does nothing on other members. */
  transferLeader(to: bigint): void;
  /** @param refused called with the reason when raft refuses the change */
  proposeConfChange(change: ConfChange, refused: (reason: StepError) => void): void;
}

/** Input for raft: messages of other members, reports of the peer connections, and ticks. */
export interface ConsensusInput {
  readonly lead: bigint;
  readonly role: Role;
  readonly term: number;
  /** The member that this one has voted for in its term, or `None`. */
  readonly vote: bigint;
  /** Bytes of entries that were passed to the log and are not on disk yet. */
  readonly unwrittenBytes: number;
  /** One tick of raft's clock. */
  tick(): void;
  step(message: Message): void;
  /** Messages to the member were lost. */
  reportUnreachable(id: bigint): void;
  reportSnapshot(id: bigint, isSaved: boolean): void;
  /** As follower, forgets the leader, so that this member grants votes before the election timeout. */
  forgetLeader(): void;
  campaign(): void;
}

/** The log of raft, on disk and in memory. */
export interface RaftLog {
  /** See `LogStore.room`. */
  readonly room: number;
  /** See `LogStore.unreleasedBytes`. */
  readonly unreleasedBytes: number;
  /** Index of the first entry in memory. */
  readonly firstIndex: number;
  /** See `LogStore.release`. */
  release(snapshot: LogSnapshot): Promise<void>;
  /**
   * Removes entries from memory, except those that a member lacks which the log can still bring up to date.
   *
   * @param upTo the last index that may be removed; 0 removes nothing
   * @param snapshot what the store has applied; members that need removed entries are sent the store
   */
  removeUpTo(upTo: number, snapshot: Pick<LogSnapshot, 'index' | 'confState'>): void;
}

/** Raft with its log, as the member drives it. Its output goes to `ConsensusHooks`. */
export interface ConsensusDriver extends Consensus, ConsensusInput {
  readonly log: RaftLog;
  readonly reads: ReadQueue;
  /** Number of entries that are committed and not applied yet. */
  readonly backlog: number;
  /** Number of proposals that wait for a leader and were not passed to raft. */
  readonly waitingProposals: number;
  /** The configuration in force. */
  readonly confState: ConfState;
  /** Starts raft's ticks. @returns a function that ends them */
  start(ticks: ConsensusTicks): () => void;
  /** Runs a turn soon. */
  schedule(): void;
  propose(data: Buffer): void;
  /** Drops proposals that were not passed to raft; their callers no longer wait. */
  withdrawAll(): void;
  /** @returns a function that cancels the read */
  read(waiter: ReadWaiter, deadlineMs: number): () => void;
  /** Called when the entry of the change is applied. @returns the configuration to store */
  applyConfChange(change: ConfChange): ConfState;
  /** Continues to apply entries after `apply` returned undefined. */
  resume(): void;
  stop(): void;
}

export interface ConsensusTicks {
  readonly intervalMs: number;
  /** After each tick of raft. */
  readonly ticked: () => void;
  /** As often as raft ticks. */
  readonly every: () => void;
}

/** Output of raft. All are called within a turn and must not call the driver synchronously. */
export interface ConsensusHooks {
  /**
   * Applies consecutive committed entries.
   *
   * @returns the number of entries applied; 0 is possible when one entry takes several turns. Undefined means that
   * nothing can be applied now and `resume` will be called later.
   */
  apply(entries: readonly Entry[]): number | undefined;
  /** Messages to other members, in order. */
  send(messages: readonly Message[]): void;
  /** Replaces log and state with a snapshot of the leader. Calls `done` when both are durable. */
  install(snapshot: Snapshot, done: () => void): void;
  /** Whether the state can be read. Where it cannot, confirmed reads wait for a later turn. */
  canRead(): boolean;
  leadershipChanged(lead: bigint, role: Role): void;
  /** Called for proposals that were dropped and will never be applied. */
  dropped(datas: readonly Buffer[], reason: StepError): void;
  /** Called at the end of a turn: its output may be sent. */
  turned(): void;
}
