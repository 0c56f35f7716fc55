/** Bytes of log between two remembered places. */
const strideBytes = 64 << 10;

export interface EntryPlace {
  /** Sequence number of the segment. */
  readonly segment: number;
  readonly offset: number;
}

interface Place extends EntryPlace {
  readonly index: number;
}

/**
 * Remembers where in the log some of the entries lie, one about every 64 KiB, so that reading an entry back
 * starts near it. It costs about a thousand places a segment.
 */
export class EntryPlaces {
  /** In the order written; indexes rise, since a replaced end of the log is forgotten. */
  #places: Place[] = [];

  add(index: number, segment: number, offset: number): void {
    let last = this.#places.at(-1);
    while (last !== undefined && last.index >= index) {
      this.#places.pop();
      last = this.#places.at(-1);
    }
    if (last?.segment === segment && offset - last.offset < strideBytes) return;
    this.#places.push({ index, segment, offset });
  }

  /** The last place at or before entry `index`; undefined when none is known. */
  before(index: number): EntryPlace | undefined {
    let low = 0;
    let high = this.#places.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#places[middle]?.index ?? 0) <= index) low = middle + 1;
      else high = middle;
    }
    return this.#places[low - 1];
  }

  /** Forgets the places in segments before `segment`. */
  dropBefore(segment: number): void {
    this.#places = this.#places.filter((place) => place.segment >= segment);
  }
}
