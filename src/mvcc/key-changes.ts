import { type KeyRange, keyString } from './key-range.ts';

interface KeyChange {
  readonly main: number;
  /** A copy: a view would keep the whole KeyValue in memory. */
  readonly key: string;
  readonly delta: 1 | -1;
}

/** Above this many bytes the oldest changes are dropped, however few changes there are. */
const MAX_BYTES = 16 * 2 ** 20;
/** Estimated bytes of a change besides its key: object, string header, list entry. */
const CHANGE_OVERHEAD = 80;

/**
 * The latest creations and deletions of keys, newest last. With them, a count at a past revision is the current count
 * minus the net change since then. Limited in number and in bytes. Reads further back count by scanning.
 */
export class KeyChanges {
  readonly #capacity: number;
  #changes: KeyChange[] = [];
  #bytes = 0;
  /** All changes after this revision are in the list. */
  #completeAfter: number;

  constructor(capacity: number, revision: number) {
    this.#capacity = capacity;
    this.#completeAfter = revision;
  }

  add(main: number, key: Buffer, delta: 1 | -1): void {
    this.#changes.push({ main, key: keyString(key), delta });
    this.#bytes += key.length + CHANGE_OVERHEAD;
    // Not at every call, since it moves all entries that remain.
    if (this.#changes.length >= this.#capacity * 2 || this.#bytes > MAX_BYTES) this.#dropOldest();
  }

  /** Net number of keys added to the range since `revision`; undefined if that is too far back. */
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
