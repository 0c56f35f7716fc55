/** A connection that holds less is never over the limit. */
const LEAST_BYTES = 1024 * 1024;

/** The held bytes of several threads. Each thread writes only its own cells, so no update is lost. */
export interface SharedHeldBytes {
  /** Shared memory: bytes and number of holders of each thread. */
  readonly cells: Float64Array;
  /** Number of this thread, from 0. */
  readonly thread: number;
}

/**
 * Limits the memory that all connections of a server hold for their clients: incomplete requests, and responses that
 * clients have not read. Flow control limits only each stream, and a client may open very many. Above the limit, only
 * connections that hold at least an equal share of it are closed.
 */
export class HeldBytes {
  readonly #limitBytes: number;
  readonly #shared: SharedHeldBytes | undefined;
  #total = 0;
  #holders = 0;

  /** @param shared given if the limit is for several threads together */
  constructor(limitBytes: number, shared?: SharedHeldBytes) {
    this.#limitBytes = limitBytes;
    this.#shared = shared;
  }

  /** Of this thread. */
  get total(): number {
    return this.#total;
  }

  account(): HeldAccount {
    return new HeldAccount(this);
  }

  /** An account changed from `before` to `after` bytes. */
  changed(before: number, after: number): void {
    this.#total += after - before;
    if (before === 0 && after > 0) this.#holders++;
    else if (before > 0 && after === 0) this.#holders--;
    if (this.#shared === undefined) return;
    const { cells, thread } = this.#shared;
    cells[2 * thread] = this.#total;
    cells[2 * thread + 1] = this.#holders;
  }

  isTooMuch(own: number): boolean {
    if (own < LEAST_BYTES) return false;
    if (this.#shared === undefined) return this.#exceeds(own, this.#total, this.#holders);
    const { cells } = this.#shared;
    let total = 0;
    let holders = 0;
    for (let at = 0; at < cells.length; at += 2) {
      total += cells[at] as number;
      holders += cells[at + 1] as number;
    }
    return this.#exceeds(own, total, holders);
  }

  #exceeds(own: number, total: number, holders: number): boolean {
    return total > this.#limitBytes && own * holders >= total;
  }
}

/** The bytes that one connection holds. */
export class HeldAccount {
  readonly #all: HeldBytes;
  #bytes = 0;
  #closed = false;

  constructor(all: HeldBytes) {
    this.#all = all;
  }

  /** Whether this connection must be closed, since it holds too much memory. */
  get isTooMuch(): boolean {
    return this.#all.isTooMuch(this.#bytes);
  }

  add(bytes: number): void {
    if (this.#closed) return;
    this.#all.changed(this.#bytes, this.#bytes + bytes);
    this.#bytes += bytes;
  }

  remove(bytes: number): void {
    if (this.#closed) return;
    this.#all.changed(this.#bytes, this.#bytes - bytes);
    this.#bytes -= bytes;
  }

  /** Like `add` or `remove` with the difference. */
  set(bytes: number): void {
    this.add(bytes - this.#bytes);
  }

  /** The connection is closed. From now on it holds nothing. */
  close(): void {
    this.remove(this.#bytes);
    this.#closed = true;
  }
}
