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

export interface Engine {
  get(column: Column, key: Uint8Array): Buffer | undefined;
  getMany(column: Column, keys: readonly Uint8Array[]): (Buffer | undefined)[];
  iterate(column: Column, range: EngineRange): EngineIterator;
  batch(): WriteBatch;
  /**
   * Commits atomically, without sync. The batch can't be used again.
   *
   * @throws EngineWriteError when the disk refuses; none of the batch is applied then, and it stays unapplied
   * across a restart. The log still holds its entries: `EngineControl.reopen` and a replay bring them back.
   */
  write(batch: WriteBatch): void;
}

/** The store could not take a batch, most often because its disk is full. */
export class EngineWriteError extends Error {
  override readonly name = 'EngineWriteError';
}

/** An iterator outlived its store: that was closed, or opened again, meanwhile. */
export class EngineReopenedError extends Error {
  override readonly name = 'EngineReopenedError';
}

/** What only the server and the tools need beyond the pure rooms' view. */
export interface EngineControl extends Engine {
  /** Makes all earlier writes durable, off the calling thread. Rejects when the disk fails. */
  syncLog(): Promise<void>;
  /** Has removed data give its space back, off the calling thread; reads and writes go on. Takes seconds to minutes. */
  compactFiles(): Promise<void>;
  /** Bytes on disk, and the bytes of them that hold live data. Both are estimates that may lag by seconds. */
  sizes(): { total: number; inUse: number };
  /**
   * Closes and opens the store again within the process, which clears an error a full disk left behind. Open
   * iterators end: reading on with one throws EngineReopenedError. No call may be made until it resolves; it rejects when the disk is still full.
   */
  reopen(): Promise<void>;
  close(): Promise<void>;
}
