import { type KeyRange, inRange } from './key-range.ts';

interface KeyChange {
  readonly main: number;
  readonly key: Buffer;
  readonly delta: 1 | -1;
}

/**
 * The latest creations and deletions of keys, newest last, so that a count at a past revision is the present
 * count less what came and went since. Bounded: reads further back count by scanning.
 */
export class KeyChanges {
  readonly #capacity: number;
  #changes: KeyChange[] = [];
  /** All changes after this revision are here. */
  #completeAfter: number;

  constructor(capacity: number, revision: number) {
    this.#capacity = capacity;
    this.#completeAfter = revision;
  }

  add(main: number, key: Buffer, delta: 1 | -1): void {
    this.#changes.push({ main, key, delta });
    if (this.#changes.length < this.#capacity * 2) return;
    const dropped = this.#changes[this.#changes.length - this.#capacity - 1];
    this.#changes = this.#changes.slice(-this.#capacity);
    this.#completeAfter = dropped?.main ?? this.#completeAfter;
  }

  /** Net number of keys in the range that came since `revision`; undefined where that lies too far back. */
  since(revision: number, range: KeyRange): number | undefined {
    if (revision < this.#completeAfter) return undefined;
    let net = 0;
    for (let at = this.#changes.length - 1; at >= 0; at -= 1) {
      const change = this.#changes[at];
      if (change === undefined || change.main <= revision) break;
      if (inRange(range, change.key)) net += change.delta;
    }
    return net;
  }
}
