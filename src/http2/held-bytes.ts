/** A connection that holds less is left alone, whatever all hold together. */
const LEAST_BYTES = 1024 * 1024;

/**
 * Bounds what all connections of a server hold in memory for their clients: requests that are not whole yet, and
 * responses that are not taken. Flow control bounds it for each stream alone, and a client may open very many. Above
 * the limit those that hold at least their share of it are too much, so that whoever hoards is ended and nobody else.
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

  /** An account went from `before` to `after` bytes. */
  changed(before: number, after: number): void {
    this.#total += after - before;
    if (before === 0 && after > 0) this.#holders++;
    else if (before > 0 && after === 0) this.#holders--;
  }

  isTooMuch(own: number): boolean {
    return this.#total > this.#limitBytes && own >= LEAST_BYTES && own * this.#holders >= this.#total;
  }
}

/** What one connection holds. */
export class HeldAccount {
  readonly #all: HeldBytes;
  #bytes = 0;
  #closed = false;

  constructor(all: HeldBytes) {
    this.#all = all;
  }

  /** This connection is to be ended, as it hoards. */
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

  /** As `add` or `remove` of the difference. */
  set(bytes: number): void {
    this.add(bytes - this.#bytes);
  }

  /** The connection is gone; it holds nothing from now on. */
  close(): void {
    this.remove(this.#bytes);
    this.#closed = true;
  }
}
