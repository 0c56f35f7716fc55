/**
 * The applied state: an ordered key-value store with columns and atomic batches.
 *
 * All calls are synchronous and short; scans are bounded by the caller, who slices long ones. A batch is
 * atomic but not synced: the write-ahead log is the truth, and `syncLog` is called before log segments go.
 *
 * Keys and values handed in are copied before the call returns, so the caller may reuse their memory;
 * buffers handed out belong to the caller. Keys are 1 byte to 64 KiB or so and compare bytewise. Keys of
 * the `event` column begin with a zero byte, as every revision below 2^56 written big endian in 8 bytes does.
 */
export const columns = ['meta', 'latest', 'event', 'version', 'lease', 'auth'] as const;
export type Column = (typeof columns)[number];

export interface EngineRange {
  /** Inclusive lower bound; an empty one means the column's start. */
  readonly gte: Uint8Array;
  /** Exclusive upper bound; undefined means the column's end. */
  readonly lt?: Uint8Array | undefined;
  readonly reverse?: boolean;
  /** Leaves values out, which spares reading them. Rows then hold empty buffers in their place. */
  readonly keysOnly?: boolean;
}

/** A cursor over a frozen view of one column: later writes are not seen. Must be closed. */
export interface EngineIterator {
  /** Up to `count` further rows as [key, value, key, value, ...]; an empty array at the end. */
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
   * @throws EngineFullError when the disk has no room; none of the batch is applied then, and it stays unapplied
   * across a restart. The log still holds its entries: `EngineControl.reopen` and a replay bring them back.
   * @throws EngineFailedError when the disk fails otherwise. The process has to end.
   */
  write(batch: WriteBatch): void;
}

/** The disk has no room for the store (ENOSPC), or its owner has used up a quota (EDQUOT). It may have room again. */
export class EngineFullError extends Error {
  override readonly name = 'EngineFullError';
}

/** The disk failed, in this call or earlier in the background. What the store holds is not known any more. */
export class EngineFailedError extends Error {
  override readonly name = 'EngineFailedError';
}

/** The store is closed, for a moment or for good, or an iterator was made before it was closed and opened again. */
export class EngineReopenedError extends Error {
  override readonly name = 'EngineReopenedError';
}

/** What the server and the tools need beyond that. */
export interface EngineControl extends Engine {
  /** Makes all earlier writes durable, off the calling thread. Rejects when the disk fails, full or not. */
  syncLog(): Promise<void>;
  /** Has removed data give its space back, off the calling thread; reads and writes go on. Takes seconds to minutes. */
  compactFiles(): Promise<void>;
  /** Bytes on disk, and the bytes of them that hold live data. Both are estimates that may lag by seconds. Never throws. */
  sizes(): { total: number; inUse: number };
  /** Iterators and views of this thread that are not closed yet. */
  readonly openReads: number;
  /**
   * Closes and opens the store again within the process, which clears an error a full disk left behind. Open
   * iterators end: reading on with one throws EngineReopenedError, and so does every call until it resolves.
   * Rejects with EngineFullError when the disk is still full, and with another error when it fails otherwise; the
   * store stays closed then.
   */
  reopen(): Promise<void>;
  /** Idempotent. */
  close(): Promise<void>;
}
