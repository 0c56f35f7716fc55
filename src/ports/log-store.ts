import type { ConfState, Entry, HardState } from '../wire/gen/raftpb.ts';

/** The log index from which replay starts: everything up to it is in the engine. It is stored as a snapshot record. */
export interface LogSnapshot {
  readonly index: number;
  readonly term: number;
  /** The membership at that index. */
  readonly confState: ConfState;
}

/** One durable append: what must be on disk before the messages of a `Ready` may be sent and its entries applied. */
export interface LogAppend {
  /** Contiguous. They replace the entries of the log from the first one's index on. */
  readonly entries: readonly Entry[];
  /** Undefined if term, vote and commit have not changed. */
  readonly hardState: HardState | undefined;
}

/**
 * The write-ahead log. Appends are queued at once and synced in order; several waiting appends share one sync. `done`
 * is called when the append is on disk, and never from within `append`, but possibly from within `writeNow`. A failed write or sync is reported to the owner
 * exactly once (see the log's options) and never retried: the owner ends the process, and no `done` is called any more.
 *
 * An append that changes only the commit index is not synced, but its `done` waits for the appends before it: raft's
 * response to it may acknowledge their entries. It is written together with the next one. So after a crash the commit
 * index may be lower than the applied index of the engine, and a restart of raft must use the larger of the two.
 */
export interface LogStore {
  append(batch: LogAppend, done: () => void): void;
  /**
   * Starts writing the appended entries now, instead of at the end of the turn, so that the disk works in parallel with
   * what follows.
   */
  flush(): void;
  /**
   * Writes and syncs the appended entries before it returns, if the event loop may wait for the disk, and calls their
   * `done`. Otherwise it does nothing, and the entries are written in the background.
   */
  writeNow(): void;
  /**
   * Bytes of entries that fit without new disk space. Infinity unless the disk is full: larger proposals are refused
   * then. Some megabytes are kept in reserve, so that entries of raft itself and proposals in flight never wait.
   */
  readonly room: number;
  /**
   * Records that the engine durably holds everything up to `snapshot`. Whole segments before it may be removed. In a cluster
   * of several members some of them stay, for members that lag when all are restarted. If the log
   * does not have the entry of the snapshot record (it ends before it, or has another entry at its index), the whole log is void
   * and continues after the snapshot record. Does nothing while the log is closing, and for a snapshot record older than the newest.
   */
  release(snapshot: LogSnapshot): Promise<void>;
  /** Index of the newest entry appended, synced or not; the index of the snapshot record if no entry follows it. */
  readonly lastIndex: number;
  /** Bytes written since the last `release`, or found at the start. A start reads and checks about as many. */
  readonly unreleasedBytes: number;
  /** Resolves when everything appended so far is on disk. */
  close(): Promise<void>;
}

/** The contents of a log when it is opened: the state to restart raft from. */
export interface LogContents {
  /** The metadata record's payload (etcdserverpb.Metadata with node and cluster id). */
  readonly metadata: Buffer;
  readonly hardState: HardState;
  /** The newest recorded snapshot record that is committed. */
  readonly snapshot: LogSnapshot;
  /** The entries up to the snapshot record's that the log still has, contiguous. Only members that lag need them. */
  readonly earlier: readonly Entry[];
  /** Entries after the snapshot record, contiguous. */
  readonly entries: Entry[];
  /** A torn write at the end of the log, left by a crash, that was cut off; undefined if there was none. */
  readonly repaired: { readonly file: string; readonly offset: number; readonly bytes: number } | undefined;
}
