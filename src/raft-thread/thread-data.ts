import type { LogSnapshot } from '../ports/log-store.ts';
import type { StartRaftOptions } from '../server/start-raft.ts';
import type { ForwardedLine } from '../threads/forwarded-log.ts';

/** What raft's thread gets at its start. It opens the log itself. */
export interface RaftThreadData {
  readonly log: { readonly directory: string; readonly segmentBytes: number };
  readonly config: StartRaftOptions['config'];
  readonly memberId: bigint;
  readonly initialMembers: StartRaftOptions['initialMembers'];
  readonly isNew: boolean;
  /** What the store has applied. */
  readonly applied: LogSnapshot;
}

/** Messages to raft's thread beside the records. */
export interface ControlToRaft {
  /** Closes the log. */
  readonly kind: 'close';
}

/** Messages of raft's thread beside the records. */
export type ControlFromRaft =
  | { readonly kind: 'closed' }
  /** The log cannot be written. */
  | { readonly kind: 'failed'; readonly message: string }
  | ForwardedLine;
