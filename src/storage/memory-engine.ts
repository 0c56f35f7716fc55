import { assert } from '../lib/assert.ts';
import {
  columns,
  type Column,
  type EngineControl,
  type EngineIterator,
  EngineReopenedError,
  ROWS_BYTES,
  type EngineRange,
  type WriteBatch,
} from '../ports/engine.ts';
import { EMPTY } from '../wire/reader.ts';
import { OrderedRows, type RowsCursor } from './ordered-rows.ts';

interface StagedOperation {
  readonly column: Column;
  readonly key: Buffer;
  /** Undefined deletes. */
  readonly value: Buffer | undefined;
}

class MemoryBatch implements WriteBatch {
  readonly operations: StagedOperation[] = [];
  spent = false;
  readonly #opening: Opening;

  constructor(opening: Opening) {
    this.#opening = opening;
  }

  get length(): number {
    return this.operations.length;
  }

  put(column: Column, key: Uint8Array, value: Uint8Array): void {
    this.#stage(column, key, Buffer.from(value));
  }

  del(column: Column, key: Uint8Array): void {
    this.#stage(column, key, undefined);
  }

  #stage(column: Column, key: Uint8Array, value: Buffer | undefined): void {
    assert(!this.spent, 'a written batch is not used again');
    this.checkOpen();
    assert(
      column !== 'version' || key[0] !== 0 || key[1] === 0xff,
      'a zero byte of a version key is escaped',
    );
    this.operations.push({ column, key: Buffer.from(key), value });
  }

  checkOpen(): void {
    if (this.#opening.isOver)
      throw new EngineReopenedError('the store was reopened since the batch was created');
  }
}

/** One opening of the store. Its batches and iterators end with it. */
interface Opening {
  isOver: boolean;
  /** Iterators that are not closed yet. */
  reads: number;
}

class MemoryIterator implements EngineIterator {
  #cursor: RowsCursor | undefined;
  readonly #range: EngineRange;
  readonly #opening: Opening;

  constructor(cursor: RowsCursor, range: EngineRange, opening: Opening) {
    this.#cursor = cursor;
    this.#range = range;
    this.#opening = opening;
    opening.reads += 1;
  }

  next(count: number): Buffer[] {
    if (this.#cursor === undefined || this.#opening.isOver)
      throw new EngineReopenedError('the store was closed during a read');
    const { keysOnly = false, valuesOnly = false } = this.#range;
    const rows: Buffer[] = [];
    for (let n = 0, bytes = 0; n < count && bytes <= ROWS_BYTES; n++) {
      const row = this.#cursor.next();
      if (row === undefined) break;
      const key = valuesOnly ? EMPTY : Buffer.from(row.key);
      const value = keysOnly ? EMPTY : Buffer.from(row.value);
      rows.push(key, value);
      bytes += key.length + value.length;
    }
    return rows;
  }

  close(): void {
    if (this.#cursor !== undefined) this.#opening.reads -= 1;
    this.#cursor = undefined;
  }
}

/** An engine in memory, for tests and the simulator. It has the same rows as RocksDB, in the same order. */
export class MemoryEngine implements EngineControl {
  readonly #columns = new Map<Column, OrderedRows>(columns.map((column) => [column, new OrderedRows()]));
  #opening: Opening | undefined = { isOver: false, reads: 0 };

  get(column: Column, key: Uint8Array): Buffer | undefined {
    const value = this.#rows(column).get(key);
    return value === undefined ? undefined : Buffer.from(value);
  }

  getMany(column: Column, keys: readonly Uint8Array[]): (Buffer | undefined)[] {
    return keys.map((key) => this.get(column, key));
  }

  iterate(column: Column, range: EngineRange): EngineIterator {
    return new MemoryIterator(this.#rows(column).cursor(range), range, this.#opened());
  }

  batch(): WriteBatch {
    return new MemoryBatch(this.#opened());
  }

  write(batch: WriteBatch): void {
    assert(batch instanceof MemoryBatch, 'a batch is written by the engine that made it');
    assert(!batch.spent, 'a batch is written once');
    batch.checkOpen();
    batch.spent = true;
    for (const { column, key, value } of batch.operations) {
      if (value === undefined) this.#rows(column).delete(key);
      else this.#rows(column).set(key, value);
    }
  }

  syncLog(): Promise<void> {
    return this.#done();
  }

  compactFiles(): Promise<void> {
    return this.#done();
  }

  sizes(): { total: number; inUse: number } {
    let bytes = 0;
    for (const rows of this.#columns.values()) bytes += rows.bytes;
    return { total: bytes, inUse: bytes };
  }

  get openReads(): number {
    return this.#opening?.reads ?? 0;
  }

  canGrow(): Promise<boolean> {
    return Promise.resolve(true);
  }

  reopen(): Promise<void> {
    this.#opened().isOver = true;
    this.#opening = { isOver: false, reads: 0 };
    return Promise.resolve();
  }

  close(): Promise<void> {
    if (this.#opening !== undefined) this.#opening.isOver = true;
    this.#opening = undefined;
    return Promise.resolve();
  }

  #opened(): Opening {
    if (this.#opening === undefined) throw new EngineReopenedError('the store is closed');
    return this.#opening;
  }

  #done(): Promise<void> {
    if (this.#opening === undefined) return Promise.reject(new EngineReopenedError('the store is closed'));
    return Promise.resolve();
  }

  #rows(column: Column): OrderedRows {
    this.#opened();
    const rows = this.#columns.get(column);
    assert(rows !== undefined, 'every column exists from the start');
    return rows;
  }
}
