/** The revisions that running scans read. Compactions remove nothing that they see. */
export class HeldRevisions {
  readonly #held = new Set<{ readonly revision: number }>();

  /** @returns a function that releases the revision; idempotent */
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
