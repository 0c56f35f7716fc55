import type { RocksSizes } from './rocks-sizes.ts';

/** A start replays the whole log of RocksDB, so this bounds the time of a start. */
const MAX_LOG_BYTES = 48 << 20;
const CHECK_EVERY_BYTES = 16 << 20;

/**
 * Keeps RocksDB's own log short.
 *
 * RocksDB removes a log file only when every column family has flushed its rows of that file. With large values the
 * families `latest` and `version` receive a few bytes for each put, and would flush after hundreds of megabytes of log.
 * RocksDB's option for this is not reachable through the binding. So once the log is too long, these families are made
 * to flush.
 */
export class RocksLogBound {
  readonly #sizes: () => RocksSizes;
  readonly #flush: () => Promise<void>;
  #unchecked = 0;
  #isBusy = false;

  /**
   * @param sizes returns the sizes of the open store
   * @param flush flushes the families that receive few bytes
   */
  constructor(sizes: () => RocksSizes, flush: () => Promise<void>) {
    this.#sizes = sizes;
    this.#flush = flush;
  }

  /** Called after each batch with the bytes of its rows. */
  wrote(bytes: number): void {
    this.#unchecked += bytes;
    if (this.#unchecked < CHECK_EVERY_BYTES || this.#isBusy) return;
    this.#unchecked = 0;
    this.#isBusy = true;
    void this.#check().finally(() => (this.#isBusy = false));
  }

  async #check(): Promise<void> {
    try {
      if ((await this.#sizes().logBytes()) > MAX_LOG_BYTES) await this.#flush();
    } catch {
      // A closed store has no log to shorten. A write that fails has already been reported by the engine, or finds the
      // disk full, which the next batch reports.
    }
  }
}
