import { assert } from '../lib/assert.ts';
import type { LogAppend, LogContents, LogSnapshotMark, LogStore } from '../ports/log-store.ts';
import { HardState, type Entry } from '../wire/gen/raftpb.ts';
import { emptyConfState } from './wal/log-scan.ts';

/** The log's twin in memory: "synced" in the next microtask. It survives its owner, as a disk would. */
export class MemoryLog implements LogStore {
  readonly #metadata: Buffer;
  #entries: Entry[] = [];
  #hardState = HardState.create();
  #mark: LogSnapshotMark = { index: 0, term: 0, confState: emptyConfState };
  #firstIndex = 1;
  /** Tests set it to act out a full disk. */
  isDiskFull = false;

  constructor(metadata: Buffer) {
    this.#metadata = metadata;
  }

  /** What opening it after a crash would find. */
  contents(): LogContents {
    const { index } = this.#mark;
    return {
      metadata: this.#metadata,
      hardState: this.#hardState,
      mark: this.#mark,
      entries: this.#entries.filter((entry) => entry.index > index),
      repaired: undefined,
    };
  }

  get firstIndex(): number {
    return this.#firstIndex;
  }

  get lastIndex(): number {
    return this.#firstIndex + this.#entries.length - 1;
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

  appendable(): boolean {
    return !this.isDiskFull;
  }

  release(mark: LogSnapshotMark): Promise<void> {
    this.#mark = mark;
    if (mark.index > this.lastIndex) {
      this.#entries = [];
      this.#firstIndex = mark.index + 1;
    }
    return Promise.resolve();
  }

  read(from: number, to: number, maxBytes: number): Promise<Entry[]> {
    if (from < this.#firstIndex)
      return Promise.reject(new RangeError(`entry ${from} is no longer in the log`));
    const found: Entry[] = [];
    let bytes = 0;
    for (const entry of this.#entries.slice(from - this.#firstIndex, Math.max(0, to - this.#firstIndex))) {
      bytes += entry.data?.length ?? 0;
      if (found.length > 0 && bytes > maxBytes) break;
      found.push(entry);
    }
    return Promise.resolve(found);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
