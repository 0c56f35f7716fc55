import type { Status } from '../raft/status.ts';
import type { ConfChange, Message, Role, StepError } from '../raft/types.ts';

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
  status(): Status;
  /** As leader, transfers the leadership to a voter. Does nothing on other members. */
  transferLeader(to: bigint): void;
  /** @returns the reason when raft refuses the change */
  proposeConfChange(change: ConfChange): StepError | undefined;
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
