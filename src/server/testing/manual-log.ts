import type { LogAppend, LogSnapshot, LogStore } from '../../ports/log-store.ts';

/** A log whose writes end when the test says so. */
export class ManualLog implements LogStore {
  /** Whether the disk is quick enough for writes within a turn. */
  isQuick = false;
  readonly lastIndex = 0;
  readonly unreleasedBytes = 7;
  readonly room = Infinity;
  readonly released: LogSnapshot[] = [];
  #waiting: (() => void)[] = [];

  append(_batch: LogAppend, done: () => void): void {
    this.#waiting.push(done);
  }

  flush(): void {
    // The write is in the background, and ends with `sync`.
  }

  writeNow(): void {
    if (this.isQuick) this.sync();
  }

  sync(): void {
    for (const done of this.#waiting.splice(0)) done();
  }

  release(snapshot: LogSnapshot): Promise<void> {
    this.released.push(snapshot);
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
