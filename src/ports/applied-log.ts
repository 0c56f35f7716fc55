import type { Entry } from '../wire/gen/raftpb.ts';

/** Names an entry of the raft log. Equal index and term mean equal logs up to it (Raft paper, section 5.3). */
export interface EntryId {
  readonly index: number;
  readonly term: number;
}

/** The state after an entry was applied. */
export interface AppliedMark {
  readonly index: number;
  /** Wall time in milliseconds since 1970 at which it was applied, or a later one if that is not known. */
  readonly timeMs: number;
  readonly revision: number;
  /** -1 if nothing was compacted. */
  readonly compactRevision: number;
}

/** Entries that were applied at about the same time. The mark is of the last one of them, or of a later one. */
export interface AppliedGroup {
  readonly mark: AppliedMark;
  readonly entries: readonly Entry[];
}

/** The newest applied entries of this member. */
export interface AppliedLog {
  /** The entry before the first one that is held. */
  readonly base: EntryId;
  /** The last applied entry. */
  readonly last: EntryId;
  /** The entry at an index. Undefined if it is not held. */
  entryAt(index: number): Entry | undefined;
  /**
   * Returns the entries after an index, in groups: at least one entry if there is one, and no more than `maxBytes`
   * otherwise. Undefined if they are no longer held.
   */
  after(index: number, maxBytes: number): readonly AppliedGroup[] | undefined;
  /** Bytes of the entries after an index, roughly. */
  bytesAfter(index: number): number;
  /** While true, only `stored` and the limit of bytes remove entries, and not their age. */
  keepOld(isKept: boolean): void;
  /** The entries up to this index are no longer needed. */
  stored(index: number): void;
}
