/** The revisions that scans under way see: compactions remove nothing of them. */
export class HeldRevisions {
  readonly #held = new Set<{ readonly revision: number }>();

  /** @returns lets go again; idempotent */
  hold(revision: number): () => void {
    const held = { revision };
    this.#held.add(held);
    return () => this.#held.delete(held);
  }

  hasBelow(revision: number): boolean {
    for (const held of this.#held) if (held.revision < revision) return true;
    return false;
  }
}
