import { assert, defined } from '../lib/assert.ts';
import { EngineReopenedError, type Column, type WriteBatch } from '../ports/engine.ts';
import type { DeletedKey, DeletedRuns } from './deleted-runs.ts';
import { storedKey, type OpenColumn, type OpenColumns } from './open-columns.ts';
import { rocksBinding, type BatchHandle, type ColumnChoice } from './rocksdb-binding.ts';

export class RocksBatch implements WriteBatch {
  readonly #binding = rocksBinding();
  readonly #current: () => OpenColumns;
  readonly #columns: OpenColumns;
  readonly #runs: DeletedRuns;
  readonly #deleted: DeletedKey[] = [];
  #handle: BatchHandle | undefined;
  #length = 0;
  #bytes = 0;
  /** The families with rows, and the searches for runs until the first of each. */
  readonly #putAfter = new Map<ColumnChoice, number>();

  /** @param current returns the columns of the open store; throws if it is closed */
  constructor(current: () => OpenColumns, handle: BatchHandle, runs: DeletedRuns) {
    this.#current = current;
    this.#columns = current();
    this.#handle = handle;
    this.#runs = runs;
  }

  get length(): number {
    return this.#length;
  }

  /** Bytes of the keys and values put. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The batch is written. */
  settleRuns(): void {
    for (const [choice, searches] of this.#putAfter) this.#runs.written(choice, searches);
    if (this.#deleted.length > 0) this.#runs.deleted(this.#deleted);
  }

  put(column: Column, key: Uint8Array, value: Uint8Array): void {
    const place = this.#place(column);
    assert(
      column !== 'version' || key[0] !== 0 || key[1] === 0xff,
      'a zero byte of a version key is escaped',
    );
    const stored = storedKey(place, key);
    this.#binding.batch_put(this.#open(), stored, value, place.choice);
    if (column !== 'event') {
      if (!this.#putAfter.has(place.choice)) this.#putAfter.set(place.choice, this.#runs.searches);
      this.#runs.put(place.choice, stored);
    }
    this.#length++;
    this.#bytes += key.length + value.length;
  }

  del(column: Column, key: Uint8Array): void {
    const place = this.#place(column);
    const stored = storedKey(place, key);
    this.#binding.batch_del(this.#open(), stored, place.choice);
    this.#length++;
    // No read on this thread passes deleted events: it starts after them.
    if (column === 'event') return;
    const deleted = this.#runs.deleting(place.choice, stored);
    if (deleted !== undefined) this.#deleted.push(deleted);
  }

  /** Returns the native batch for writing. This object can't be used again. */
  take(): BatchHandle {
    const handle = this.#open();
    this.#checkCurrent();
    this.#handle = undefined;
    return handle;
  }

  #place(column: Column): OpenColumn {
    this.#checkCurrent();
    return this.#columns[column];
  }

  /** Native column handles become invalid when their database is closed. */
  #checkCurrent(): void {
    if (this.#current() !== this.#columns)
      throw new EngineReopenedError('the store was reopened since the batch was created');
  }

  #open(): BatchHandle {
    return defined(this.#handle, 'a written batch is not used again');
  }
}
