import { EMPTY } from '../wire/reader.ts';

/** Places that have not grown yet and are passed in one search. */
const PLACES_PER_LOOK = 16;

const ZERO = Buffer.alloc(1);

/** An interval of keys without rows: `from` is included, `to` is not. */
export interface EmptyPlace {
  readonly from: Buffer;
  readonly to: Buffer;
  /** The noted deletions in it. */
  readonly notes: number;
  /** The noted deletions in the largest part of it that one deleted range covers. */
  readonly marked: number;
}

interface Place {
  readonly from: Buffer;
  to: Buffer;
  notes: number;
  marked: number;
  /** The search that changed it last. */
  grownIn: number;
  /** Its next row has to be looked for. */
  isQueued: boolean;
  /** No row followed when it was looked at. */
  isLast: boolean;
  /** A part of another place now, or forgotten. */
  isGone: boolean;
}

/** A search for the first row from `place.to` on, before `until`; undefined is the end of the family. */
export interface Look {
  readonly place: EmptyPlace;
  readonly until: Buffer | undefined;
}

/**
 * The places of one column family that are known to have no rows.
 *
 * Each begins as one deleted key, and ends at the first row after it. When that row is deleted, the place is queued: its
 * owner looks for the next row from there on, so that no deleted row is passed twice. Places that touch become one.
 */
export class EmptyPlaces {
  readonly #max: number;
  /** Ascending, without overlaps. */
  #places: Place[] = [];
  /** By the key at which they end, as latin1. */
  readonly #ends = new Map<string, Place>();
  #queue: Place[] = [];
  #current: Place | undefined;

  constructor(max: number) {
    this.#max = max;
  }

  /** Places whose next row has to be looked for, with some that are forgotten. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Whether a place ends at the row of this key. */
  endsAt(key: Buffer): boolean {
    return this.#ends.size > 0 && this.#ends.has(key.toString('latin1'));
  }

  /** A row was deleted. `isNoted`: it counts, and begins a place if no other one ends there. */
  deleted(key: Buffer, isNoted: boolean): void {
    const ending = this.#ends.get(key.toString('latin1'));
    if (ending !== undefined) this.#enqueue(ending);
    if (!isNoted) return;
    const at = this.#lastFrom(key);
    const before = this.#places[at];
    if (before !== undefined && Buffer.compare(before.to, key) >= 0) {
      before.notes += 1;
    } else {
      // What follows the last place is not known to be a row.
      if (before?.isLast === true) this.#enqueue(before);
      this.#insert(at + 1, newPlace(key));
    }
  }

  /** A row is about to be written. Its key is in no place any more. */
  put(key: Uint8Array): void {
    const at = this.#lastFrom(key);
    const place = this.#places[at];
    if (place === undefined || Buffer.compare(place.to, key) <= 0) return;
    const row = Buffer.from(key);
    const right = { ...place, from: Buffer.concat([row, ZERO]), isQueued: false };
    right.notes = place.notes >>> 1;
    right.marked = Math.min(right.notes, place.marked);
    place.notes -= right.notes;
    place.marked = Math.min(place.notes, place.marked);
    place.isLast = false;
    this.#end(place, row);
    if (Buffer.compare(right.from, right.to) < 0) this.#insert(at + 1, right);
  }

  /** Takes a place out of the queue, and says up to where to look for the first row after it. */
  take(): Look | undefined {
    this.#current = undefined;
    for (let place = this.#queue.shift(); place !== undefined; place = this.#queue.shift()) {
      place.isQueued = false;
      if (place.isGone) continue;
      this.#current = place;
      return { place, until: this.#until(this.#lastFrom(place.from) + 1) };
    }
    return undefined;
  }

  /** Where a search stops: no deleted row that was passed once is passed again. */
  #until(first: number): Buffer | undefined {
    for (let at = first; at < first + PLACES_PER_LOOK; at += 1) {
      const next = this.#places[at];
      if (next === undefined || Buffer.compare(next.from, next.to) < 0) return next?.from;
    }
    return this.#places[first + PLACES_PER_LOOK]?.from;
  }

  /**
   * Tells what the look found that was taken last: `row` is the first one from the place's end on.
   *
   * @returns how many places are one now, and whether the place is still one
   */
  extend({ until }: Look, row: Buffer | undefined, search: number): { joined: number; isEmpty: boolean } {
    const place = this.#current;
    if (place === undefined) return { joined: 0, isEmpty: false };
    const at = this.#lastFrom(place.from) + 1;
    let end = at;
    let to = place.to;
    place.isLast = row === undefined && until === undefined;
    for (let next = this.#places[end]; next !== undefined; next = this.#places[end]) {
      if (row !== undefined && Buffer.compare(row, next.from) <= 0) break;
      end += 1;
      place.notes += next.notes;
      place.marked = Math.max(place.marked, next.marked);
      to = next.to;
      this.#forget(next);
      if (next.from !== until) continue;
      if (next.isQueued || next.isLast) this.#enqueue(place);
      break;
    }
    this.#places.splice(at, end - at);
    if (row !== undefined) to = row;
    if (place.isLast && Buffer.compare(place.from, to) === 0) to = Buffer.concat([to, ZERO]);
    this.#end(place, to);
    place.grownIn = search;
    // The key was put again.
    const isEmpty = Buffer.compare(place.from, to) < 0;
    if (!isEmpty && !place.isQueued) {
      this.#places.splice(at - 1, 1);
      this.#forget(place);
    }
    return { joined: end - at + 1, isEmpty };
  }

  /** The place that was taken last is taken again later. */
  lookAgain(): void {
    if (this.#current !== undefined) this.#enqueue(this.#current);
  }

  /** The place that was taken last is covered by a deleted range. */
  marked(): void {
    if (this.#current !== undefined) this.#current.marked = this.#current.notes;
  }

  /** Forgets what searches after this one found. */
  forgetSince(search: number): void {
    this.#keep(({ grownIn }) => grownIn <= search);
  }

  #enqueue(place: Place): void {
    if (!place.isQueued) this.#queue.push(place);
    place.isQueued = true;
  }

  #insert(at: number, place: Place): void {
    this.#places.splice(at, 0, place);
    this.#ends.set(place.to.toString('latin1'), place);
    this.#enqueue(place);
    if (this.#places.length <= this.#max) return;
    // The places with the fewest deletions gain the least.
    const notes = this.#places.map((other) => other.notes).sort((a, b) => a - b);
    const median = notes[notes.length >>> 1] ?? 0;
    this.#keep((other) => other.notes > median);
  }

  #keep(isKept: (place: Place) => boolean): void {
    const all = this.#places;
    this.#places = all.filter(isKept);
    for (const place of all) if (!isKept(place)) this.#forget(place);
    this.#queue = this.#queue.filter(({ isGone }) => !isGone);
  }

  #forget(place: Place): void {
    place.isGone = true;
    const end = place.to.toString('latin1');
    if (this.#ends.get(end) === place) this.#ends.delete(end);
  }

  #end(place: Place, to: Buffer): void {
    const end = place.to.toString('latin1');
    if (this.#ends.get(end) === place) this.#ends.delete(end);
    place.to = to;
    this.#ends.set(to.toString('latin1'), place);
  }

  /** Index of the last place that begins at or before the key; -1 if there is none. */
  #lastFrom(key: Uint8Array): number {
    let low = 0;
    let high = this.#places.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (Buffer.compare(this.#places[middle]?.from ?? EMPTY, key) <= 0) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/** A deleted key. Its row may have been put again. */
function newPlace(key: Buffer): Place {
  const state = { isQueued: false, isLast: false, isGone: false };
  return { from: key, to: key, notes: 1, marked: 0, grownIn: 0, ...state };
}
