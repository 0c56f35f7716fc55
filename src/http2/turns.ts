/** Work that is done in slices over several turns of the event loop. */
export interface SlicedWork {
  /** Does one slice of well under a millisecond. True if there is more. */
  slice(): boolean;
}

/** Milliseconds of a turn for reading from clients, and the same again for deferred work. */
const TURN_MS = 4;

/**
 * Shares the event loop among the connections of a server, so that no client delays the others, even if it sends very
 * much. Each turn of the event loop reads arrived bytes for a few milliseconds. The rest is deferred, and done after
 * the poll phase in slices, by round robin. Connections that used more than their share of a turn come after the
 * others.
 */
export class Turns {
  /** Changes with each turn. */
  turn = 0;
  readonly #now: () => number;
  /** When the time for reading in the poll phase of this turn ends; undefined before its first read. */
  #pollEnd: number | undefined;
  readonly #first: SlicedWork[] = [];
  readonly #later: SlicedWork[] = [];
  #immediate: NodeJS.Immediate | undefined;

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether a connection may read arrived bytes now. */
  get hasTime(): boolean {
    if (this.#pollEnd === undefined) {
      this.#pollEnd = this.#now() + TURN_MS;
      this.#schedule();
      return true;
    }
    return this.#now() < this.#pollEnd;
  }

  /** Adds work that had no time in this turn. It comes before work that had. */
  addFirst(work: SlicedWork): void {
    this.#first.push(work);
    this.#schedule();
  }

  /** Adds work that continues in later turns. */
  addLater(work: SlicedWork): void {
    this.#later.push(work);
    this.#schedule();
  }

  #schedule(): void {
    this.#immediate ??= setImmediate(() => this.#run());
  }

  #run(): void {
    this.#immediate = undefined;
    this.#pollEnd = undefined;
    this.turn++;
    const end = this.#now() + TURN_MS;
    do this.#serve(this.#first.shift());
    while (this.#first.length > 0 && this.#now() < end);
    // At least one slice of the other work is done, even if much work comes first.
    do this.#serve(this.#later.shift());
    while (this.#later.length > 0 && this.#now() < end);
    if (this.#first.length + this.#later.length > 0) this.#schedule();
  }

  #serve(work: SlicedWork | undefined): void {
    if (work?.slice() === true) this.#later.push(work);
  }
}
