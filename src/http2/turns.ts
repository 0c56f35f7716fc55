/** Work of which a part is done in each turn of the event loop. */
export interface SlicedWork {
  /** Does one slice, well under a millisecond's worth. True if there is more. */
  slice(): boolean;
}

/** Milliseconds of a turn that reading what clients send may take, and as much again for what was put off. */
const TURN_MS = 4;

/**
 * Shares the event loop among the connections of a server, so that no client holds up the others however much it
 * sends. A turn of the loop reads what has arrived for a few milliseconds. What is left then is put off to the next
 * turn, and served after the poll phase, in slices, each connection in its turn. Connections that sent more than
 * their share of a turn come after those that did not.
 */
export class Turns {
  /** Changes with each turn. */
  turn = 0;
  readonly #now: () => number;
  /** When reading in the poll phase of this turn is over; undefined before its first read. */
  #pollEnd: number | undefined;
  readonly #first: SlicedWork[] = [];
  readonly #later: SlicedWork[] = [];
  #immediate: NodeJS.Immediate | undefined;

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether a connection whose bytes arrive now may read them now. */
  get hasTime(): boolean {
    if (this.#pollEnd === undefined) {
      this.#pollEnd = this.#now() + TURN_MS;
      this.#schedule();
      return true;
    }
    return this.#now() < this.#pollEnd;
  }

  /** Adds work that has had nothing of this turn: it comes before that which has. */
  addFirst(work: SlicedWork): void {
    this.#first.push(work);
    this.#schedule();
  }

  /** Adds work that goes on in later turns. */
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
    // However much comes first, the rest goes on by a slice.
    do this.#serve(this.#later.shift());
    while (this.#later.length > 0 && this.#now() < end);
    if (this.#first.length + this.#later.length > 0) this.#schedule();
  }

  #serve(work: SlicedWork | undefined): void {
    if (work?.slice() === true) this.#later.push(work);
  }
}
