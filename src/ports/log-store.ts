import type { ConfState, Entry, HardState } from '../wire/gen/raftpb.ts';

/** A place in the log from which replay starts: everything up to it is in the engine. */
export interface LogSnapshotMark {
  readonly index: number;
  readonly term: number;
  /** The membership at that place. */
  readonly confState: ConfState;
}

/** One durable append: what a `Ready` wants on disk before its messages and commits may go out. */
export interface LogAppend {
  /** Contiguous; they replace what the log holds from the first one's index on. */
  readonly entries: readonly Entry[];
  /** Undefined when term, vote and commit are as before. */
  readonly hardState: HardState | undefined;
}

/**
 * The write-ahead log. `append` is handed over at once and synced in order, several appends with one sync
 * where they pile up; `done` is called on the event loop, never from within `append`, once all of it is on
 * disk. A failed write or sync is reported to the owner exactly once (see the log's options) and never
 * retried: the owner ends the process, and no `done` is called any more.
 *
 * An append that moves only the commit index waits for no disk but for the appends before it, as raft's answers to it
 * may vouch for their entries. It is written along with the next one, so after a crash the commit found may lag behind what the engine has applied, and whoever restarts raft
 * takes the larger of the two.
 */
export interface LogStore {
  append(batch: LogAppend, done: () => void): void;
  /** Begins writing what was appended now instead of at the end of the turn, so that work to come overlaps the disk's. */
  flush(): void;
  /**
   * Whether `bytes` more of entries fit without asking the disk for space. False only while the disk is full;
   * proposals are refused then, and it turns true again once space is found. Room for some megabytes is kept
   * back, so that what raft itself appends, and proposals under way, never wait.
   */
  appendable(bytes: number): boolean;
  /**
   * Records that the engine durably holds everything up to `mark`; whole segments before it may go. Where the log
   * does not hold the mark's own entry, because it ends before it or has another one there, all of the log is void and
   * it goes on after the mark. Does nothing once the log is being closed, and for a mark older than the newest.
   */
  release(mark: LogSnapshotMark): Promise<void>;
  /** Index of the newest entry appended, synced or not; the mark's where no entry follows it. */
  readonly lastIndex: number;
  /** Resolves when everything appended so far is on disk. */
  close(): Promise<void>;
}

/** What opening a log finds: the state to restart raft from. */
export interface LogContents {
  /** The metadata record's payload (etcdserverpb.Metadata with node and cluster id). */
  readonly metadata: Buffer;
  readonly hardState: HardState;
  /** The newest recorded one that is committed. */
  readonly mark: LogSnapshotMark;
  /** Entries after the mark, contiguous. */
  readonly entries: Entry[];
  /** The end of the log that a crash left half written and that was cut off; undefined when it was whole. */
  readonly repaired: { readonly file: string; readonly offset: number; readonly bytes: number } | undefined;
}
