/**
 * The applied state: an ordered key-value store with columns and atomic batches.
 *
 * All calls are synchronous and short; scans are bounded by the caller, who slices long ones. A batch is atomic but not
 * synced: after a crash the write-ahead log restores it. `syncLog` is called before log segments are removed.
 *
 * Keys and values passed in are copied before the call returns, so the caller may reuse their memory. Returned buffers
 * belong to the caller. Keys compare bytewise. Keys of the `event` column begin with a zero byte, as every revision
 * below 2^56 written big endian in 8 bytes does.
 */
export const columns = ['meta', 'latest', 'event', 'version', 'lease', 'auth'] as const;
export type Column = (typeof columns)[number];

export interface EngineRange {
  /** Inclusive lower bound; an empty one means the column's start. */
  readonly gte: Uint8Array;
  /** Exclusive upper bound; undefined means the column's end. */
  readonly lt?: Uint8Array | undefined;
  readonly reverse?: boolean;
  /** Omits values, so that they are not read. Rows then have empty buffers in their place. */
  readonly keysOnly?: boolean;
  /** Omits keys: each costs a buffer. Rows then have empty buffers in their place. */
  readonly valuesOnly?: boolean;
}

/** One call of an iterator ends after the row with which its keys and values come to more than this. */
export const ROWS_BYTES = 256 * 1024;

/** A cursor over a frozen view of one column: later writes are not seen. Must be closed. */
export interface EngineIterator {
  /**
   * Up to `count` further rows as [key, value, key, value, ...], and fewer if they are large; see `ROWS_BYTES`. An empty
   * array at the end.
   */
  next(count: number): Buffer[];
  /** Idempotent. */
  close(): void;
}

export interface WriteBatch {
  put(column: Column, key: Uint8Array, value: Uint8Array): void;
  del(column: Column, key: Uint8Array): void;
  /** Operations so far. */
  readonly length: number;
}

/** Every call throws EngineReopenedError while the store is closed. */
export interface Engine {
  get(column: Column, key: Uint8Array): Buffer | undefined;
  getMany(column: Column, keys: readonly Uint8Array[]): (Buffer | undefined)[];
  iterate(column: Column, range: EngineRange): EngineIterator;
  batch(): WriteBatch;
  /**
   * Commits atomically, without sync. The batch can't be used again.
   *
   * @throws EngineFullError when the disk is full. None of the batch is applied then, also not after a restart. The log
   * still has its entries: `EngineControl.reopen` and a replay apply them again.
   * @throws EngineFailedError for another failure of the disk. The process must end.
   */
  write(batch: WriteBatch): void;
}

/** The disk is full (ENOSPC), or its owner's quota is used up (EDQUOT). There may be free space later. */
export class EngineFullError extends Error {
  override readonly name = 'EngineFullError';
}

/** The disk failed, in this call or earlier in the background. The contents of the store are unknown now. */
export class EngineFailedError extends Error {
  override readonly name = 'EngineFailedError';
}

/** The store is closed, for a moment or for good, or an iterator was made before it was closed and opened again. */
export class EngineReopenedError extends Error {
  override readonly name = 'EngineReopenedError';
}

/** The functions that only the server and the tools need. */
export interface EngineControl extends Engine {
  /** Makes all earlier writes durable, on another thread. Rejects when the disk fails or is full. */
  syncLog(): Promise<void>;
  /** Frees the disk space of removed data, on another thread. Reads and writes continue. Takes seconds to minutes. */
  compactFiles(): Promise<void>;
  /**
   * Bytes on disk, and how many of them hold live data. Both are estimates that may be some seconds old. Never throws.
   */
  sizes(): { total: number; inUse: number };
  /** Iterators and views of this thread that are not closed yet. */
  readonly openReads: number;
  /** Whether the disk takes some megabytes more for the store, as opening it again needs. Writes them for a moment. */
  canGrow(): Promise<boolean>;
  /**
   * Closes and opens the store again within the process, which clears the error of a full disk. Open iterators end:
   * using one throws EngineReopenedError, and so does every call until this resolves. Rejects with EngineFullError if
   * the disk is still full, and with another error for another failure. The store is closed then.
   */
  reopen(): Promise<void>;
  /** Idempotent. */
  close(): Promise<void>;
}
