/** A connection that holds less is never over the limit. */
const LEAST_BYTES = 1024 * 1024;

/**
 * Limits the memory that all connections of a server hold for their clients: incomplete requests, and responses that
 * clients have not read. Flow control limits only each stream, and a client may open very many. Above the limit, only
 * connections that hold at least an equal share of it are closed.
 */
export class HeldBytes {
  readonly #limitBytes: number;
  #total = 0;
  #holders = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

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
  }

  isTooMuch(own: number): boolean {
    return this.#total > this.#limitBytes && own >= LEAST_BYTES && own * this.#holders >= this.#total;
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
