import { defined } from '../lib/assert.ts';
import type { EngineRange } from '../ports/engine.ts';

export interface Row {
  readonly key: Buffer;
  readonly value: Buffer;
}

interface Block {
  /** The view generation that may change this block in place; older blocks are copied first. */
  readonly generation: number;
  readonly rows: Row[];
}

const MAX_BLOCK_ROWS = 256;

/** Index of the first element of sorted `items` for which `keyOf(item) >= key`. */
function lowerBound<T>(items: readonly T[], key: Uint8Array, keyOf: (item: T) => Uint8Array): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (Buffer.compare(keyOf(items[middle] as T), key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

const rowKey = (row: Row): Uint8Array => row.key;
const lastKey = (block: Block): Uint8Array => defined(block.rows.at(-1), 'a block is never empty').key;

/** Reads a list of blocks that do not change any more. */
export class RowsCursor {
  readonly #blocks: readonly Block[];
  readonly #range: EngineRange;
  readonly #step: 1 | -1;
  #block: number;
  #row: number;

  constructor(blocks: readonly Block[], range: EngineRange) {
    this.#blocks = blocks;
    this.#range = range;
    this.#step = range.reverse === true ? -1 : 1;
    const edge = range.reverse === true ? range.lt : range.gte;
    this.#block = edge === undefined ? blocks.length : lowerBound(blocks, edge, lastKey);
    const block = blocks[this.#block];
    this.#row = edge === undefined || block === undefined ? 0 : lowerBound(block.rows, edge, rowKey);
    if (range.reverse === true) this.#advance();
  }

  next(): Row | undefined {
    const row = this.#blocks[this.#block]?.rows[this.#row];
    if (row === undefined || this.#isPast(row.key)) return undefined;
    this.#advance();
    return row;
  }

  #advance(): void {
    this.#row += this.#step;
    const rows = this.#blocks[this.#block]?.rows;
    if (rows !== undefined && this.#row >= 0 && this.#row < rows.length) return;
    this.#block += this.#step;
    this.#row = this.#step === 1 ? 0 : (this.#blocks[this.#block]?.rows.length ?? 0) - 1;
  }

  #isPast(key: Buffer): boolean {
    const { gte, lt } = this.#range;
    if (this.#step === -1) return Buffer.compare(key, gte) < 0;
    return lt !== undefined && Buffer.compare(key, lt) >= 0;
  }
}

/**
 * Rows in key order, in blocks. A block is copied on its first write after a cursor was opened. So a cursor costs one
 * reference for each block, and sees the rows of the moment when it was opened.
 */
export class OrderedRows {
  #blocks: Block[] = [];
  #generation = 0;
  #bytes = 0;

  /** Bytes of all keys and values. */
  get bytes(): number {
    return this.#bytes;
  }

  get(key: Uint8Array): Buffer | undefined {
    const block = this.#blocks[lowerBound(this.#blocks, key, lastKey)];
    const row = block?.rows[lowerBound(block.rows, key, rowKey)];
    return row !== undefined && Buffer.compare(row.key, key) === 0 ? row.value : undefined;
  }

  cursor(range: EngineRange): RowsCursor {
    this.#generation++;
    return new RowsCursor(this.#blocks.slice(), range);
  }

  set(key: Buffer, value: Buffer): void {
    if (this.#blocks.length === 0) this.#blocks.push({ generation: this.#generation, rows: [] });
    const at = this.#blocks.length === 1 ? 0 : lowerBound(this.#blocks, key, lastKey);
    const blockIndex = Math.min(at, this.#blocks.length - 1);
    const { rows } = this.#writable(blockIndex);
    const rowIndex = lowerBound(rows, key, rowKey);
    const previous = rows[rowIndex];
    const replaces = previous !== undefined && Buffer.compare(previous.key, key) === 0;
    if (replaces) this.#bytes -= previous.key.length + previous.value.length;
    this.#bytes += key.length + value.length;
    rows.splice(rowIndex, replaces ? 1 : 0, { key, value });
    if (rows.length > MAX_BLOCK_ROWS) {
      const upper = { generation: this.#generation, rows: rows.splice(rows.length >>> 1) };
      this.#blocks.splice(blockIndex + 1, 0, upper);
    }
  }

  delete(key: Uint8Array): void {
    const blockIndex = lowerBound(this.#blocks, key, lastKey);
    if (blockIndex === this.#blocks.length) return;
    const { rows } = this.#writable(blockIndex);
    const rowIndex = lowerBound(rows, key, rowKey);
    const row = rows[rowIndex];
    if (row === undefined || Buffer.compare(row.key, key) !== 0) return;
    this.#bytes -= row.key.length + row.value.length;
    rows.splice(rowIndex, 1);
    if (rows.length === 0) this.#blocks.splice(blockIndex, 1);
  }

  #writable(index: number): Block {
    const block = defined(this.#blocks[index], 'a block index lies within the list');
    if (block.generation === this.#generation) return block;
    const copy = { generation: this.#generation, rows: block.rows.slice() };
    this.#blocks[index] = copy;
    return copy;
  }
}
