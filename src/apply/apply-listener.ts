import type { MembershipChange } from '../membership/conf-change.ts';
import type { ClusterMember } from '../membership/member.ts';
import type { StoreEvent } from '../mvcc/store.ts';
import type { EtcdError } from '../wire/errors.ts';
import type { ApplyResult } from './results.ts';

export interface ConfChangeResult {
  /** The ID of the request, for the local caller. */
  readonly id: bigint;
  readonly error: EtcdError | undefined;
  readonly change: MembershipChange | undefined;
  /** All members after the change. */
  readonly members: readonly ClusterMember[];
}

/**
 * Receives the results of a batch. The calls are made after the batch is in the engine, in the order of the entries.
 * A request is identified by the upper 16 and the lower 48 bits of its ID.
 */
export interface ApplyListener {
  /** Whether a local caller waits for this request. Called before the request is applied. */
  isWanted(idPrefix: number, idSequence: number): boolean;
  /** A request with a local caller has been applied or refused. */
  onResult(idPrefix: number, idSequence: number, result: ApplyResult): void;
  onConfChange(result: ConfChangeResult): void;
  /**
   * All members compact up to this revision, also if another member got the request. Superseded revisions up to it
   * may be removed.
   */
  onCompaction(revision: number): void;
  /** The empty entry at the start of a leader's term has been applied. */
  onEmptyEntry(index: number, term: number): void;
  /** The batch's changes of the store, for the watchers. Called once per batch, before any result. */
  onEvents(events: readonly StoreEvent[]): void;
}
