/** The columns of a frozen view, which a snapshot is made of. All others are indexes of `event`. */
export type ViewColumn = 'meta' | 'event' | 'lease' | 'auth';

export interface ViewRange {
  readonly gte: Uint8Array;
  /** Undefined means the column's end. */
  readonly lt?: Uint8Array | undefined;
}

/** A consistent view of all columns at one moment, for as long as it is read. Must be closed. */
export interface StoreView {
  /**
   * The rows of the range in key order, in batches of [key, value, key, value, ...] of limited size. A range may be
   * read again. Starting a scan ends the one before.
   */
  scan(column: ViewColumn, range: ViewRange): Iterable<Buffer[]>;
  /** Idempotent. */
  close(): void;
}

/** An open store that worker threads of this process can read. */
export interface SharedStore {
  /**
   * Shares the store with a worker. Before the store is closed, even for a moment, `recall` is called and awaited. When
   * it resolves, no thread may use the handle any more.
   */
  lend(recall: () => Promise<void>): StoreLoan;
}

export interface StoreLoan {
  /** The handle that the worker attaches to. */
  readonly handle: bigint;
  /** The worker has ended. Idempotent. */
  giveBack(): void;
}
