import type { Status } from '../raft/status.ts';
import type { ConfChange, Message, Role, StepError } from '../raft/types.ts';

/** What the rest of a member sees of raft, and the few things it may ask of it. */
export interface Consensus {
  /** The leader that this member follows, or itself; 0 while none is known. */
  readonly lead: bigint;
  readonly role: Role;
  readonly committed: number;
  /** The last entry of which raft knows that it is applied. The store may be ahead of it. */
  readonly applied: number;
  /** Appends handed to the log, and how many of them, in order, are on disk. */
  readonly appendsBegun: number;
  readonly appendsDone: number;
  status(): Status;
  /** As leader, asks a voter to take over. Does nothing on other members. */
  transferLeader(to: bigint): void;
  /** @returns why raft does not take the change */
  proposeConfChange(change: ConfChange): StepError | undefined;
}

/** What comes in from other members, and from the connections with them. */
export interface ConsensusInput {
  readonly lead: bigint;
  readonly role: Role;
  readonly term: number;
  /** Whom this member has voted for in its term; `None` if for nobody. */
  readonly vote: bigint;
  /** One tick of raft's clock. */
  tick(): void;
  step(message: Message): void;
  /** Messages to the member were lost. */
  reportUnreachable(id: bigint): void;
  reportSnapshot(id: bigint, isSaved: boolean): void;
  /** As follower, gives up the leader, so that this member grants votes before the election timeout. */
  forgetLeader(): void;
  campaign(): void;
}
