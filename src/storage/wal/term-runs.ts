/**
 * The terms of the entries that are in force, one item a run of equal terms. An entry at an index that is held takes
 * the place of it and of all that follows.
 */
export class TermRuns {
  #runs: { readonly from: number; readonly term: number }[] = [];
  #lastIndex = 0;
  /** The first position held is a mark's: its term is known, and no entry is there. */
  #hasBase = false;

  /** Nothing is known, not even where the log begins. */
  get isEmpty(): boolean {
    return this.#runs.length === 0;
  }

  /** Index of the first entry, also where it is yet to come; 0 when nothing is known. */
  get firstIndex(): number {
    const [first] = this.#runs;
    return first === undefined ? 0 : first.from + (this.#hasBase ? 1 : 0);
  }

  /** Index of the newest entry, or of the mark that the log begins after. */
  get lastIndex(): number {
    return this.#lastIndex;
  }

  add(index: number, term: number): void {
    while ((this.#runs.at(-1)?.from ?? -1) >= index) this.#runs.pop();
    if (this.#runs.length === 0) this.#hasBase = false;
    if (this.#runs.at(-1)?.term !== term) this.#runs.push({ from: index, term });
    this.#lastIndex = index;
  }

  /** Term of an entry held, or of the mark that the log begins after. */
  of(index: number): number | undefined {
    if (index > this.#lastIndex) return undefined;
    return this.#runs.findLast(({ from }) => from <= index)?.term;
  }

  /**
   * A mark names an entry that is committed. A log that holds another entry there, or ends before it, has gone another
   * way: all of it is void, and the log begins anew after the mark. Equal terms at an index mean equal logs up to
   * there (Raft, section 5.3), so nothing is lost where the mark's own entry is held.
   *
   * @returns whether the log begins anew
   */
  settle(index: number, term: number): boolean {
    const [first] = this.#runs;
    if (first !== undefined && (index < first.from || this.of(index) === term)) return false;
    this.#runs = [{ from: index, term }];
    this.#lastIndex = index;
    this.#hasBase = true;
    return true;
  }
}
