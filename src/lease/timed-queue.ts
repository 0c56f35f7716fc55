import { defined } from '../lib/assert.ts';

interface Slot {
  readonly id: bigint;
  time: number;
  index: number;
}

/**
 * A binary min-heap of (lease id, time) with one place per lease, so that renewing a lease ten thousand times
 * moves its place instead of growing the heap. Times are in milliseconds of whatever clock the caller uses.
 */
export class TimedQueue {
  readonly #slots: Slot[] = [];
  readonly #byId = new Map<bigint, Slot>();

  get size(): number {
    return this.#slots.length;
  }

  /** The earliest entry, left in place. */
  peek(): { readonly id: bigint; readonly time: number } | undefined {
    return this.#slots[0];
  }

  /** Adds the lease, or moves it when it is queued already. */
  set(id: bigint, time: number): void {
    const known = this.#byId.get(id);
    if (known !== undefined) {
      known.time = time;
      if (!this.#rise(known)) this.#sink(known);
      return;
    }
    const slot: Slot = { id, time, index: this.#slots.length };
    this.#slots.push(slot);
    this.#byId.set(id, slot);
    this.#rise(slot);
  }

  delete(id: bigint): void {
    const slot = this.#byId.get(id);
    if (slot === undefined) return;
    this.#byId.delete(id);
    const last = defined(this.#slots.pop(), 'a queued lease has a slot in the heap');
    if (last === slot) return;
    last.index = slot.index;
    this.#slots[slot.index] = last;
    if (!this.#rise(last)) this.#sink(last);
  }

  clear(): void {
    this.#slots.length = 0;
    this.#byId.clear();
  }

  #rise(slot: Slot): boolean {
    const start = slot.index;
    while (slot.index > 0) {
      const parent = this.#slots[(slot.index - 1) >> 1];
      if (parent === undefined || parent.time <= slot.time) break;
      this.#swap(parent, slot);
    }
    return slot.index !== start;
  }

  #sink(slot: Slot): void {
    for (;;) {
      const left = this.#slots[2 * slot.index + 1];
      if (left === undefined) return;
      const right = this.#slots[2 * slot.index + 2];
      const least = right !== undefined && right.time < left.time ? right : left;
      if (slot.time <= least.time) return;
      this.#swap(slot, least);
    }
  }

  #swap(a: Slot, b: Slot): void {
    const index = a.index;
    a.index = b.index;
    b.index = index;
    this.#slots[a.index] = a;
    this.#slots[b.index] = b;
  }
}
