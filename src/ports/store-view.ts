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
