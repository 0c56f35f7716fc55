import { assert } from '../lib/assert.ts';
import type { LogAppend, LogContents, LogSnapshot, LogStore } from '../ports/log-store.ts';
import { HardState, type Entry } from '../wire/gen/raftpb.ts';
import { emptyConfState } from './wal/log-scan.ts';

/** A log in memory, "synced" in the next microtask. It outlives its owner, as a disk does. */
export class MemoryLog implements LogStore {
  readonly #metadata: Buffer;
  #entries: Entry[] = [];
  #hardState = HardState.create();
  #snapshot: LogSnapshot = { index: 0, term: 0, confState: emptyConfState };
  #firstIndex = 1;
  /** Tests set it to simulate a full disk. */
  isDiskFull = false;

  constructor(metadata: Buffer) {
    this.#metadata = metadata;
  }

  /** The contents that opening it after a crash returns. */
  contents(): LogContents {
    const { index } = this.#snapshot;
    return {
      metadata: this.#metadata,
      hardState: this.#hardState,
      snapshot: this.#snapshot,
      earlier: this.#entries.filter((entry) => entry.index <= index),
      entries: this.#entries.filter((entry) => entry.index > index),
      repaired: undefined,
    };
  }

  get lastIndex(): number {
    return this.#firstIndex + this.#entries.length - 1;
  }

  get unreleasedBytes(): number {
    return 0;
  }

  append({ entries, hardState }: LogAppend, done: () => void): void {
    for (const entry of entries) {
      assert(entry.index <= this.lastIndex + 1 && entry.index > 0, 'entries are appended without a gap');
      if (this.#entries.length === 0) this.#firstIndex = entry.index;
      this.#firstIndex = Math.min(this.#firstIndex, entry.index);
      this.#entries.length = entry.index - this.#firstIndex;
      this.#entries.push(entry.data === undefined ? entry : { ...entry, data: Buffer.from(entry.data) });
    }
    if (hardState !== undefined) this.#hardState = { ...hardState };
    queueMicrotask(done);
  }

  flush(): void {
    // Appends are done at once.
  }

  writeNow(): void {
    // Appends are done at once.
  }

  get room(): number {
    return this.isDiskFull ? 0 : Infinity;
  }

  release(snapshot: LogSnapshot): Promise<void> {
    if (snapshot.index < this.#snapshot.index) return Promise.resolve();
    this.#snapshot = snapshot;
    if (this.#hardState.commit < snapshot.index)
      this.#hardState = { ...this.#hardState, commit: snapshot.index };
    if (this.#entries[snapshot.index - this.#firstIndex]?.term !== snapshot.term) {
      this.#entries = [];
      this.#firstIndex = snapshot.index + 1;
    }
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
