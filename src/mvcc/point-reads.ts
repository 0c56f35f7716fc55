import type { Column } from '../ports/engine.ts';
import type { PointRead } from '../ports/point-reads.ts';
import { eventKeyValue } from './event-row.ts';
import { decodeIndexMeta } from './index-meta.ts';
import { encodeRevision } from './revision.ts';
import { REVISION_ROWS, settledRevision } from './store-meta.ts';

/** A store that another thread writes meanwhile. */
export interface SharedRows {
  /** Changes with each write. Reads between which it does not change see the same state. */
  readonly sequence: number;
  getMany(column: Column, keys: readonly Uint8Array[]): (Buffer | undefined)[];
}

/** A batch of writes is visible at once and takes longer than the reads, so the second try mostly succeeds. */
const MAX_TRIES = 8;

/**
 * Reads the current values of keys and their revision, without the state that `MvccStore` has in memory.
 *
 * The revision and the index rows are read between two equal numbers of the last write, so they show one state. The
 * values are read after that: a revision never changes. If a compaction has removed one, its key has changed meanwhile,
 * and everything is read again.
 */
export class PointReads {
  readonly #rows: SharedRows;
  /** The revision as of a number of the last write. */
  #sequence = -1;
  #revision: number | undefined;

  constructor(rows: SharedRows) {
    this.#rows = rows;
  }

  /**
   * @param maxBytes a longer KeyValue is not read
   * @returns undefined if `latest` lacks changes that are committed, or if the store is written too often
   */
  read(keys: readonly Buffer[], maxBytes: number): PointRead | undefined {
    const rows = this.#rows;
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const { sequence } = rows;
      const isKnown = sequence === this.#sequence;
      const revision = isKnown ? this.#revision : settledRevision(rows.getMany('meta', REVISION_ROWS));
      const index = rows.getMany('latest', keys);
      if (rows.sequence !== sequence) continue;
      this.#sequence = sequence;
      this.#revision = revision;
      if (revision === undefined) return undefined;
      const keyValues = readValues(rows, index, maxBytes);
      if (keyValues !== undefined) return { revision, keyValues };
    }
    return undefined;
  }
}

/** Undefined if a value was removed since its index row was read. */
function readValues(
  rows: SharedRows,
  index: readonly (Buffer | undefined)[],
  maxBytes: number,
): PointRead['keyValues'] | undefined {
  const values: (Buffer | 'large' | undefined)[] = [];
  const places: number[] = [];
  const revisions: Buffer[] = [];
  for (const [place, row] of index.entries()) {
    values.push(undefined);
    if (row === undefined) continue;
    const { mod, sub, size } = decodeIndexMeta(row);
    if (size > maxBytes) {
      values[place] = 'large';
      continue;
    }
    places.push(place);
    revisions.push(encodeRevision(mod, sub));
  }
  if (revisions.length === 0) return values;
  for (const [at, event] of rows.getMany('event', revisions).entries()) {
    if (event === undefined) return undefined;
    values[places[at] ?? 0] = eventKeyValue(event);
  }
  return values;
}
