import { EMPTY } from '../wire/reader.ts';
import type { KeyEntry } from './key-cursor.ts';

/** Values are kept side by side in pieces of memory of this size. */
const SLAB_BYTES = 256 * 1024;
/** A larger value is kept as it was read: there are not many of them, and a copy takes long. */
const MAX_COPIED_BYTES = 4096;
const HEAD_BYTES = 4;

/** A key with its value, for sorting by value. */
export interface SortableValue {
  readonly entry: KeyEntry;
  /** The first bytes of the value as a number of the same order. Most values differ in them. */
  readonly head: number;
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/**
 * Keeps values until they are sorted.
 *
 * They are copied, because each row of the store is a buffer of its own. With the rows themselves, V8 would free
 * hundreds of thousands of small pieces of memory at once after the sort. The next larger allocation of glibc joined
 * all of them, in one turn of 130 ms.
 */
export class SortableValues {
  readonly all: SortableValue[] = [];
  #slab: Buffer = EMPTY;
  #used = 0;

  /** @param value is not kept if it is short */
  add(entry: KeyEntry, value: Buffer): void {
    const head = headOf(value);
    const { length } = value;
    if (length > MAX_COPIED_BYTES) {
      this.all.push({ entry, head, bytes: value, start: 0, end: length });
      return;
    }
    if (this.#used + length > this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += length;
    this.#slab.set(value, start);
    this.all.push({ entry, head, bytes: this.#slab, start, end: this.#used });
  }
}

/** The order of the values' bytes. */
export function compareValues(a: SortableValue, b: SortableValue): number {
  if (a.head !== b.head) return a.head - b.head;
  return a.bytes.compare(b.bytes, b.start, b.end, a.start, a.end);
}

/** Missing bytes count as zeros, so a value and a longer one may have the same head. */
function headOf(value: Buffer): number {
  let head = 0;
  for (let at = 0; at < HEAD_BYTES; at += 1) head = (head << 8) | (value[at] ?? 0);
  // Signed numbers of 32 bits need no memory of their own.
  return head ^ -0x80000000;
}
