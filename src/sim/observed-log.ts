import type { LogAppend, LogSnapshot, LogStore } from '../ports/log-store.ts';
import type { Entry } from '../wire/gen/raftpb.ts';

/** Number of entries before the newest snapshot record that are kept for comparisons. */
const KEPT_ENTRIES = 200;

/** The real log, which also records all appended entries, synced or not. */
export class ObservedLog implements LogStore {
  readonly #log: LogStore;
  readonly #entries = new Map<number, Entry>();
  #oldest: number;
  #snapshot = 0;

  constructor(log: LogStore, entries: readonly Entry[]) {
    this.#log = log;
    this.#oldest = (entries[0]?.index ?? log.lastIndex + 1) - 1;
    for (const entry of entries) this.#entries.set(entry.index, entry);
  }

  /** Returns the last entry appended at `index`. */
  entry(index: number): Entry | undefined {
    return this.#entries.get(index);
  }

  get lastIndex(): number {
    return this.#log.lastIndex;
  }

  get unreleasedBytes(): number {
    return this.#log.unreleasedBytes;
  }

  append(batch: LogAppend, done: () => void): void {
    for (const entry of batch.entries) this.#entries.set(entry.index, entry);
    this.#log.append(batch, done);
  }

  flush(): void {
    this.#log.flush();
  }

  writeNow(): void {
    this.#log.writeNow();
  }

  get room(): number {
    return this.#log.room;
  }

  release(snapshot: LogSnapshot): Promise<void> {
    if (snapshot.index >= this.#snapshot) {
      this.#snapshot = snapshot.index;
      // The log that does not lead to a snapshot record is void.
      if (this.#entries.get(snapshot.index)?.term !== snapshot.term) this.#entries.clear();
    }
    for (; this.#oldest < snapshot.index - KEPT_ENTRIES; this.#oldest += 1)
      this.#entries.delete(this.#oldest);
    return this.#log.release(snapshot);
  }

  close(): Promise<void> {
    return this.#log.close();
  }
}
