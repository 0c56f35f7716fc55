/** Columns that a frozen view shows: what a snapshot is made of. The others are indices over `event`. */
export type ViewColumn = 'meta' | 'event' | 'lease' | 'auth';

export interface ViewRange {
  readonly gte: Uint8Array;
  /** Undefined means the column's end. */
  readonly lt?: Uint8Array | undefined;
}

/** The store as of one instant, all of its columns agreeing, however long it is read. Must be closed. */
export interface StoreView {
  /**
   * The range's rows in key order, in batches of [key, value, key, value, ...] of bounded size. Ranges may be read
   * again; beginning one ends the one before.
   */
  scan(column: ViewColumn, range: ViewRange): Iterable<Buffer[]>;
  /** Idempotent. */
  close(): void;
}

/** An open store that worker threads of this process may read. */
export interface SharedStore {
  /**
   * Lends the store to a worker. Before the store is closed, also for a moment, `recall` is called and awaited: by
   * then no thread may use the handle any more.
   */
  lend(recall: () => Promise<void>): StoreLoan;
}

export interface StoreLoan {
  /** What the worker attaches to. */
  readonly handle: bigint;
  /** The worker is gone. Idempotent. */
  giveBack(): void;
}
