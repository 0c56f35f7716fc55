/**
 * The terms of the valid entries, as runs of equal terms. An entry at a known index replaces that entry and all after
 * it.
 */
export class TermRuns {
  #runs: { readonly from: number; readonly term: number }[] = [];
  #lastIndex = 0;
  /** The first known index is that of a snapshot record: its term is known, but there is no entry. */
  #hasBase = false;

  /** Nothing is known, not even the start of the log. */
  get isEmpty(): boolean {
    return this.#runs.length === 0;
  }

  /** Index of the first entry, even if it is not appended yet; 0 if nothing is known. */
  get firstIndex(): number {
    const [first] = this.#runs;
    return first === undefined ? 0 : first.from + (this.#hasBase ? 1 : 0);
  }

  /** Index of the newest entry, or of the snapshot record that the log starts after. */
  get lastIndex(): number {
    return this.#lastIndex;
  }

  add(index: number, term: number): void {
    while ((this.#runs.at(-1)?.from ?? -1) >= index) this.#runs.pop();
    if (this.#runs.length === 0) this.#hasBase = false;
    if (this.#runs.at(-1)?.term !== term) this.#runs.push({ from: index, term });
    this.#lastIndex = index;
  }

  /** Term of a known entry, or of the snapshot record that the log starts after. */
  of(index: number): number | undefined {
    if (index > this.#lastIndex) return undefined;
    return this.#runs.findLast(({ from }) => from <= index)?.term;
  }

  /**
   * A snapshot record identifies a committed entry. If the log has another entry at its index, or ends before it, the log has
   * diverged: all of it is void, and it starts again after the snapshot record. Equal terms at an index mean equal logs up to it
   * (Raft, section 5.3), so nothing is lost if the log has the entry of the snapshot record.
   *
   * @returns whether the log starts again
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
