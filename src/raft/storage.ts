import type { ConfState, Entry, HardState, Snapshot } from './types.ts';

/**
 * Why a log position cannot be read: `compacted` lies before the last snapshot, `unavailable` after the end.
 */
export type LogGap = 'compacted' | 'unavailable';

/**
 * The durable log and state as raft reads it back. Reads are synchronous: what raft may ask for (everything since the
 * last compaction) must be in memory. Entries handed out are never changed by either side. Implementations throw only
 * when they are broken beyond use; raft does not catch.
 */
export interface LogStorage {
  /**
   * What was saved before a restart; all zero and empty for a new node. The commit index is not below that of the
   * snapshot the log starts from: it is written without a separate sync, so the code that compacts the log must ensure
   * that.
   */
  initialState(): { readonly hardState: HardState; readonly confState: ConfState };
  /** Index of the first entry that `entries` can return; 1 for an empty log. */
  firstIndex(): number;
  /** Index of the last entry, or of the snapshot below an empty log; 0 for a new node. */
  lastIndex(): number;
  /** Term of the entry at `index`, known for [firstIndex - 1, lastIndex]. */
  term(index: number): number | LogGap;
  /**
   * Entries [from, to), as many as fit into `maxSize` bytes of their encoding, but at least one. The array is
   * the caller's to keep.
   */
  entries(from: number, to: number, maxSize: number): Entry[] | LogGap;
  /**
   * The snapshot to send to a follower: the state applied lately, in any case no older than where the log begins
   * and than the configuration change that added the follower, which otherwise ignores it.
   * `temporarily-unavailable` makes raft ask again later.
   */
  snapshot(): Snapshot | 'temporarily-unavailable';
}
