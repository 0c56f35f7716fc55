/** What single keys hold at one revision. */
export interface PointRead {
  /** The store's revision at the moment of the read. */
  readonly revision: number;
  /** The encoded KeyValue of each key, in the order of the keys; undefined for a key that does not exist. */
  readonly keyValues: readonly (Buffer | 'large' | undefined)[];
}

/** Reads single keys of a store that another thread writes. */
export interface PointReader {
  /**
   * A KeyValue of more than `maxBytes` is not read. Undefined if no consistent state can be read now: the thread that
   * writes the store must answer.
   */
  read(keys: readonly Buffer[], maxBytes: number): PointRead | undefined;
  /** From now on the store is not used, because it will be closed. */
  close(): void;
}
