import { type KeyRange, keyString } from './key-range.ts';

interface KeyChange {
  readonly main: number;
  /** A copy of its own: a view would keep the whole KeyValue that it lies in. */
  readonly key: string;
  readonly delta: 1 | -1;
}

/** Beyond this many bytes the oldest changes go, however few they are. */
const MAX_BYTES = 16 * 2 ** 20;
/** Estimated bytes of a change beyond its key: object, string head, place in the list. */
const CHANGE_OVERHEAD = 80;

/**
 * The latest creations and deletions of keys, newest last, so that a count at a past revision is the present
 * count less what came and went since. Bounded in number and in bytes: reads further back count by scanning.
 */
export class KeyChanges {
  readonly #capacity: number;
  #changes: KeyChange[] = [];
  #bytes = 0;
  /** All changes after this revision are here. */
  #completeAfter: number;

  constructor(capacity: number, revision: number) {
    this.#capacity = capacity;
    this.#completeAfter = revision;
  }

  add(main: number, key: Buffer, delta: 1 | -1): void {
    this.#changes.push({ main, key: keyString(key), delta });
    this.#bytes += key.length + CHANGE_OVERHEAD;
    // Now and then, as it moves all that stay.
    if (this.#changes.length >= this.#capacity * 2 || this.#bytes > MAX_BYTES) this.#dropOldest();
  }

  /** Net number of keys in the range that came since `revision`; undefined where that lies too far back. */
  since(revision: number, range: KeyRange): number | undefined {
    if (revision < this.#completeAfter) return undefined;
    const start = keyString(range.start);
    const end = range.end === undefined ? undefined : keyString(range.end);
    let net = 0;
    for (let at = this.#changes.length - 1; at >= 0; at -= 1) {
      const change = this.#changes[at];
      if (change === undefined || change.main <= revision) break;
      const { key } = change;
      const isIn = range.single ? key === start : key >= start && (end === undefined || key < end);
      if (isIn) net += change.delta;
    }
    return net;
  }

  #dropOldest(): void {
    let from = Math.max(0, this.#changes.length - this.#capacity);
    let bytes = 0;
    for (let at = this.#changes.length - 1; at >= from; at -= 1) {
      bytes += (this.#changes[at]?.key.length ?? 0) + CHANGE_OVERHEAD;
      if (bytes > MAX_BYTES / 2) from = at + 1;
    }
    const dropped = this.#changes[from - 1];
    this.#changes = this.#changes.slice(from);
    this.#completeAfter = dropped?.main ?? this.#completeAfter;
    this.#bytes = this.#changes.reduce((sum, { key }) => sum + key.length + CHANGE_OVERHEAD, 0);
  }
}
