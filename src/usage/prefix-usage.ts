import type { Steps } from '../lib/steps.ts';
import { indexRowSize } from '../mvcc/index-meta.ts';
import type { KeyRange } from '../mvcc/key-range.ts';
import { lastEventRevision } from '../mvcc/revision-reads.ts';
import type { StoreEvent } from '../mvcc/store-event.ts';
import { type MvccStore, REVISION_OVERHEAD_BYTES } from '../mvcc/store.ts';
import { versionUserKey } from '../mvcc/version-key.ts';
import { EMPTY } from '../wire/reader.ts';
import type { PrefixLabels } from './prefix-labels.ts';

/** Rows read in one step of a scan. */
const ROWS_PER_STEP = 256;

/** What is counted for one label. */
export interface PrefixCounts {
  readonly prefix: string;
  /** Keys that exist. */
  readonly keys: number;
  /** Bytes of all stored revisions, as the quota counts them. */
  readonly bytes: number;
  /** The part of `bytes` that is not the current value of a key. Compactions remove it. */
  readonly historyBytes: number;
  /** Keys put and deleted since the start of the process. */
  readonly writes: number;
  readonly watchers: number;
}

/**
 * Keys, bytes, writes and watchers by prefix.
 *
 * Nothing is stored, since that would cost each write, and the stored counts would be of no use once the flags have
 * changed, a snapshot was installed, or the counting was off for a while. So a start, and each exchange of the store,
 * needs a scan of the indexes. It reads no values.
 *
 * A scan reads a frozen view of the store in steps. All changes after the moment of the view are added as they are
 * committed, so the counts are exact when the scan ends. Until then `isComplete` is false.
 */
export class PrefixUsage {
  readonly #labels: PrefixLabels;
  readonly #keys: number[] = [];
  readonly #currentBytes: number[] = [];
  readonly #historyBytes: number[] = [];
  readonly #writes: number[] = [];
  readonly #watchers: number[] = [];
  #isComplete = false;

  constructor(labels: PrefixLabels) {
    this.#labels = labels;
  }

  /** Whether keys and bytes are known. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Adds committed changes of the store, from one place of the list up to another. */
  add(events: readonly StoreEvent[], from = 0, to = events.length): void {
    for (let at = from; at < to; at += 1) {
      const event = events[at];
      if (event === undefined) continue;
      const label = this.#label(event.key);
      const { previous, isDelete } = event;
      const size = event.kv.length + REVISION_OVERHEAD_BYTES;
      increase(this.#writes, label, 1);
      if (previous !== undefined) {
        const before = previous.size + REVISION_OVERHEAD_BYTES;
        increase(this.#currentBytes, label, -before);
        increase(this.#historyBytes, label, before);
      }
      if (isDelete) {
        increase(this.#historyBytes, label, size);
        if (previous !== undefined) increase(this.#keys, label, -1);
      } else {
        increase(this.#currentBytes, label, size);
        if (event.isCreate) increase(this.#keys, label, 1);
      }
    }
  }

  /** A compaction has removed a revision of the key. @param size bytes of its KeyValue */
  removed(key: Buffer, size: number): void {
    increase(this.#historyBytes, this.#label(key), -(size + REVISION_OVERHEAD_BYTES));
  }

  /** A watcher of the range was added (1) or removed (-1). */
  watching(range: KeyRange, change: 1 | -1): void {
    const label = this.#labels.ofRange(range);
    this.#cover(label);
    increase(this.#watchers, label, change);
  }

  /** The store was exchanged: keys and bytes are unknown until the next scan has ended. */
  forget(): void {
    this.#isComplete = false;
  }

  /**
   * Counts the keys and bytes of the store anew. `canScan` must be true, and all earlier changes must have been added.
   * Each step takes about a millisecond.
   */
  *scan({ engine }: MvccStore): Steps<void> {
    this.#isComplete = false;
    for (const counts of [this.#keys, this.#currentBytes, this.#historyBytes]) counts.fill(0);
    const latest = engine.iterate('latest', { gte: EMPTY });
    const superseded = engine.iterate('version', { gte: EMPTY });
    try {
      for (let rows = latest.next(ROWS_PER_STEP); rows.length > 0; rows = latest.next(ROWS_PER_STEP)) {
        for (let at = 0; at + 1 < rows.length; at += 2) {
          const label = this.#label(rows[at] ?? EMPTY);
          increase(this.#keys, label, 1);
          increase(this.#currentBytes, label, storedBytes(rows[at + 1]));
        }
        yield;
      }
      for (let rows = superseded.next(ROWS_PER_STEP); rows.length > 0;) {
        for (let at = 0; at + 1 < rows.length; at += 2) {
          const label = this.#label(versionUserKey(rows[at] ?? EMPTY));
          increase(this.#historyBytes, label, storedBytes(rows[at + 1]));
        }
        yield;
        rows = superseded.next(ROWS_PER_STEP);
      }
      this.#isComplete = true;
    } finally {
      latest.close();
      superseded.close();
    }
  }

  /** The counts of each label, those of `other` first. */
  counts(): PrefixCounts[] {
    return this.#labels.names.map((prefix, label) => {
      const historyBytes = this.#historyBytes[label] ?? 0;
      return {
        prefix,
        keys: this.#keys[label] ?? 0,
        bytes: (this.#currentBytes[label] ?? 0) + historyBytes,
        historyBytes,
        writes: this.#writes[label] ?? 0,
        watchers: this.#watchers[label] ?? 0,
      };
    });
  }

  #label(key: Buffer): number {
    const label = this.#labels.of(key);
    this.#cover(label);
    return label;
  }

  /** Makes room for the counts of a label. */
  #cover(label: number): void {
    while (this.#keys.length <= label)
      for (const counts of [this.#keys, this.#currentBytes, this.#historyBytes, this.#writes, this.#watchers])
        counts.push(0);
  }
}

/**
 * Whether the indexes hold exactly the committed changes. While a large change is written in parts, they do not, nor
 * after a crash in between until the log has repeated it.
 */
export function canScan(store: MvccStore): boolean {
  return (
    store.pendingEvents === 0 && !store.isLarge && lastEventRevision(store.engine) <= store.committedRevision
  );
}

function storedBytes(row: Buffer | undefined): number {
  return row === undefined ? 0 : indexRowSize(row) + REVISION_OVERHEAD_BYTES;
}

function increase(counts: number[], label: number, by: number): void {
  counts[label] = (counts[label] ?? 0) + by;
}
