import { defined } from '../lib/assert.ts';

/** The position of an item in a queue. The owner of the item keeps it, to move or remove the item later. */
export interface Slot<Item> {
  readonly item: Item;
  readonly time: number;
}

interface Place<Item> extends Slot<Item> {
  time: number;
  index: number;
}

/**
 * A binary min-heap of items by time. An item can be moved, so that renewing a lease ten thousand times does not make
 * the heap grow. Adding items in the order of their times takes constant time per item. Times are milliseconds of the
 * caller's clock.
 */
export class TimedQueue<Item> {
  #places: Place<Item>[] = [];

  get size(): number {
    return this.#places.length;
  }

  /** The earliest entry. It stays in the queue. */
  peek(): Slot<Item> | undefined {
    return this.#places[0];
  }

  add(item: Item, time: number): Slot<Item> {
    const place: Place<Item> = { item, time, index: this.#places.length };
    this.#places.push(place);
    this.#rise(place);
    return place;
  }

  /** @param slot the slot of an item in this queue */
  move(slot: Slot<Item>, time: number): void {
    const place = this.#placeOf(slot);
    place.time = time;
    if (!this.#rise(place)) this.#sink(place);
  }

  /** @param slot the slot of an item in this queue */
  remove(slot: Slot<Item>): void {
    const place = this.#placeOf(slot);
    const last = defined(this.#places.pop(), 'a queued item has a place in the heap');
    if (last === place) return;
    last.index = place.index;
    this.#places[place.index] = last;
    if (!this.#rise(last)) this.#sink(last);
  }

  /** Empties the queue. The time does not depend on its size. */
  clear(): void {
    this.#places = [];
  }

  #placeOf(slot: Slot<Item>): Place<Item> {
    const place = slot as Place<Item>;
    return defined(
      this.#places[place.index] === place ? place : undefined,
      'only an item that is queued is moved or removed',
    );
  }

  #rise(place: Place<Item>): boolean {
    const start = place.index;
    while (place.index > 0) {
      const parent = this.#places[(place.index - 1) >> 1];
      if (parent === undefined || parent.time <= place.time) break;
      this.#swap(parent, place);
    }
    return place.index !== start;
  }

  #sink(place: Place<Item>): void {
    for (;;) {
      const left = this.#places[2 * place.index + 1];
      if (left === undefined) return;
      const right = this.#places[2 * place.index + 2];
      const least = right !== undefined && right.time < left.time ? right : left;
      if (place.time <= least.time) return;
      this.#swap(place, least);
    }
  }

  #swap(a: Place<Item>, b: Place<Item>): void {
    const index = a.index;
    a.index = b.index;
    b.index = index;
    this.#places[a.index] = a;
    this.#places[b.index] = b;
  }
}
