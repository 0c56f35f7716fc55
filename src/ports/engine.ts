/**
 * The applied state: an ordered key-value store with columns and atomic batches.
 *
 * All calls are synchronous and short; scans are bounded by the caller, who slices long ones. A batch is
 * atomic but not synced: the write-ahead log is the truth, and `syncLog` is called before log segments go.
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
  /** Commits atomically, without sync. The batch can't be used again. */
  write(batch: WriteBatch): void;
}

/** What only the server and the tools need beyond the pure rooms' view. */
export interface EngineControl extends Engine {
  /** Makes all earlier writes durable, off the calling thread. Rejects when the disk fails. */
  syncLog(): Promise<void>;
  /** Rewrites files so that removed data gives its space back, off the calling thread; reads and writes go on. */
  compactFiles(): Promise<void>;
  /** Bytes on disk, and the bytes of them that hold live data. Both are estimates that may lag by seconds. */
  sizes(): { total: number; inUse: number };
  close(): Promise<void>;
}
