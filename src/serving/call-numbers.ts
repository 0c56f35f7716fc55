/**
 * The numbers of calls, which rise for ever. Records have 32 bits of them, so that after 2^32 calls an id returns. A
 * number is found again for the newest 2^32 calls.
 */
export class CallNumbers {
  #newest = 0;

  /** The number of a call that begins with this id. */
  begin(id: number): number {
    this.#newest += (id - this.#newest) >>> 0;
    return this.#newest;
  }

  /** The number of a call that began before, by its id. */
  of(id: number): number {
    return this.#newest - ((this.#newest - id) >>> 0);
  }
}
