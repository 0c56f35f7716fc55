import type { Entry, HardState } from '../wire/gen/raftpb.ts';

/** A place in the log from which replay starts: everything up to it is in the engine. */
export interface LogSnapshotMark {
  readonly index: number;
  readonly term: number;
}

/** One durable append: what a `Ready` wants on disk before its messages and commits may go out. */
export interface LogAppend {
  readonly entries: readonly Entry[];
  /** Undefined when term, vote and commit are as before. */
  readonly hardState: HardState | undefined;
}

/**
 * The write-ahead log. `append` is handed over at once and synced in order, several appends with one sync
 * where they pile up; `done` is called on the event loop once all of it is on disk. A failed write or sync
 * is reported through `onFailure` exactly once and never retried: the owner ends the process.
 */
export interface LogStore {
  append(batch: LogAppend, done: () => void): void;
  /** Records that the engine durably holds everything up to `mark`; whole segments before it may go. */
  release(mark: LogSnapshotMark): Promise<void>;
  /** Entries [from, to) read back for followers that need more than the memory holds; at most `maxBytes`, at least one. */
  read(from: number, to: number, maxBytes: number): Promise<Entry[]>;
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** Resolves when everything appended so far is on disk. */
  close(): Promise<void>;
}

/** What opening a log finds: the state to restart raft from. */
export interface LogContents {
  /** The metadata record's payload (etcdserverpb.Metadata with node and cluster id). */
  readonly metadata: Buffer;
  readonly hardState: HardState;
  readonly mark: LogSnapshotMark;
  /** Entries after the mark, contiguous. */
  readonly entries: Entry[];
}
