import type { Engine, EngineIterator } from '../ports/engine.ts';
import { EMPTY } from '../wire/reader.ts';
import { type IndexMeta, decodeIndexMeta, indexRowMod } from './index-meta.ts';
import type { KeyRange } from './key-range.ts';
import { readMain } from './revision.ts';
import { versionBound, versionRevisionOffset, versionUserKey } from './version-key.ts';

const CHUNK_ROWS = 128;

/** A key that is live at the revision read, with its index entry. */
export interface KeyEntry {
  /** Empty if the cursor does not read keys. */
  readonly key: Buffer;
  readonly meta: IndexMeta;
}

/** Live keys of a range in ascending order, from a frozen view. Must be closed. */
export interface KeyCursor {
  /** The next keys: at most `count`, and possibly none. The number of rows read is proportional to `count`. */
  next(count: number): KeyEntry[];
  /** No keys are left. */
  readonly isDone: boolean;
  close(): void;
}

/**
 * The same entries, with their keys side by side in one buffer. It is for entries that are kept: the key of each row is
 * a buffer of its own, and the end of very many at once takes long, see `SortableValues`.
 */
export function withPackedKeys(entries: readonly KeyEntry[]): KeyEntry[] {
  let size = 0;
  for (const { key } of entries) size += key.length;
  const packed = Buffer.allocUnsafeSlow(size);
  let at = 0;
  return entries.map(({ key, meta }) => {
    packed.set(key, at);
    at += key.length;
    return { key: packed.subarray(at - key.length, at), meta };
  });
}

function bounds(range: KeyRange): { gte: Buffer; lt: Buffer | undefined } {
  return { gte: range.start, lt: range.end };
}

/** The current live keys; without `withKeys` only their index entries. */
export class CurrentKeys implements KeyCursor {
  readonly #rows: EngineIterator;
  #isDone = false;

  constructor(engine: Engine, range: KeyRange, withKeys = true) {
    this.#rows = engine.iterate('latest', { ...bounds(range), valuesOnly: !withKeys });
  }

  next(count: number): KeyEntry[] {
    const rows = this.#rows.next(count);
    if (rows.length === 0) this.#isDone = true;
    const entries: KeyEntry[] = [];
    for (let at = 0; at + 1 < rows.length; at += 2) {
      const key = rows[at];
      const row = rows[at + 1];
      if (key !== undefined && row !== undefined) entries.push({ key, meta: decodeIndexMeta(row) });
    }
    return entries;
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  close(): void {
    this.#rows.close();
  }
}

/** Rows of one column, one at a time. */
class RowStream {
  readonly #rows: EngineIterator;
  #chunk: Buffer[] = [];
  #at = 0;

  constructor(rows: EngineIterator) {
    this.#rows = rows;
    this.#fill();
  }

  #fill(): void {
    this.#chunk = this.#rows.next(CHUNK_ROWS);
    this.#at = 0;
  }

  get key(): Buffer | undefined {
    return this.#chunk[this.#at];
  }

  get value(): Buffer {
    return this.#chunk[this.#at + 1] ?? EMPTY;
  }

  advance(): void {
    this.#at += 2;
    if (this.#at >= this.#chunk.length) this.#fill();
  }

  close(): void {
    this.#rows.close();
  }
}

/** Rows that `PastKeys` reads for each key requested. */
const ROWS_PER_KEY = 4;

/** A key whose superseded revisions are being read. */
interface OpenKey {
  readonly key: Buffer;
  /** The current index entry, if the key has not changed since the revision. */
  readonly present: IndexMeta | undefined;
  /** The row of the newest superseded revision so far that is not after the revision. */
  newest: Buffer | undefined;
}

/**
 * Live keys at a past revision: a merge of the current index with the superseded revisions. For each key the newest
 * revision at or before the requested one counts. A call may end in the middle of the revisions of a key, if there are
 * many.
 */
export class PastKeys implements KeyCursor {
  readonly #latest: RowStream;
  readonly #versions: RowStream;
  readonly #revision: number;
  #open: OpenKey | undefined;
  #isDone = false;

  constructor(engine: Engine, range: KeyRange, revision: number) {
    this.#revision = revision;
    this.#latest = new RowStream(engine.iterate('latest', bounds(range)));
    const lt = range.end === undefined ? undefined : versionBound(range.end);
    this.#versions = new RowStream(engine.iterate('version', { gte: versionBound(range.start), lt }));
  }

  next(count: number): KeyEntry[] {
    const entries: KeyEntry[] = [];
    for (let rows = count * ROWS_PER_KEY; rows > 0 && entries.length < count && !this.#isDone; rows -= 1) {
      if (this.#open === undefined) {
        this.#open = this.#nextKey();
        if (this.#open === undefined) this.#isDone = true;
      } else if (!this.#takeVersion(this.#open)) {
        const { key, present, newest } = this.#open;
        this.#open = undefined;
        const meta = present ?? (newest === undefined ? undefined : decodeIndexMeta(newest));
        if (meta !== undefined && !meta.isTombstone) entries.push({ key, meta });
      }
    }
    return entries;
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  #nextKey(): OpenKey | undefined {
    const latest = this.#latest.key;
    const version = this.#versions.key;
    const versioned = version === undefined ? undefined : versionUserKey(version);
    if (latest !== undefined && compareOptional(latest, versioned) <= 0)
      return { key: latest, present: this.#takeLatest(), newest: undefined };
    return versioned === undefined ? undefined : { key: versioned, present: undefined, newest: undefined };
  }

  #takeLatest(): IndexMeta | undefined {
    const row = this.#latest.value;
    const meta = indexRowMod(row) <= this.#revision ? decodeIndexMeta(row) : undefined;
    this.#latest.advance();
    return meta;
  }

  /** Consumes one superseded revision of the key, if there is one left. */
  #takeVersion(open: OpenKey): boolean {
    const row = this.#versions.key;
    if (row === undefined || !versionUserKey(row).equals(open.key)) return false;
    if (readMain(row, versionRevisionOffset(row)) <= this.#revision) open.newest = this.#versions.value;
    this.#versions.advance();
    return true;
  }

  close(): void {
    this.#latest.close();
    this.#versions.close();
  }
}

/** Compares keys. Undefined is the end, after all keys. */
function compareOptional(a: Buffer | undefined, b: Buffer | undefined): number {
  if (a === undefined) return 1;
  if (b === undefined) return -1;
  return Buffer.compare(a, b);
}

/** A changed key with its new index entry; undefined for a deleted key. */
export interface ChangedKey {
  readonly key: Buffer;
  readonly meta: IndexMeta | undefined;
}

/** The keys of the engine with changes applied that are not in it yet. So a transaction sees its own writes. */
export class OverlaidKeys implements KeyCursor {
  readonly #base: KeyCursor;
  readonly #overlay: readonly ChangedKey[];
  #overlayAt: number;
  readonly #overlayEnd: number;
  #found: KeyEntry[] = [];
  #foundAt = 0;

  /** @param overlay ascending by key; only the part from `from` up to, not including, `to` is used */
  constructor(base: KeyCursor, overlay: readonly ChangedKey[], from = 0, to = overlay.length) {
    this.#base = base;
    this.#overlay = overlay;
    this.#overlayAt = from;
    this.#overlayEnd = to;
  }

  next(count: number): KeyEntry[] {
    const entries: KeyEntry[] = [];
    for (let looked = 0; looked < count && !this.isDone; looked += 1) {
      if (this.#foundAt >= this.#found.length && !this.#base.isDone) {
        this.#found = this.#base.next(count);
        this.#foundAt = 0;
        if (this.#found.length === 0) continue;
      }
      const base = this.#found[this.#foundAt];
      const over = this.#overlayAt < this.#overlayEnd ? this.#overlay[this.#overlayAt] : undefined;
      if (base === undefined && over === undefined) break;
      const order = compareOptional(base?.key, over?.key);
      if (order <= 0) this.#foundAt += 1;
      if (order >= 0) {
        this.#overlayAt += 1;
        if (over?.meta !== undefined) entries.push({ key: over.key, meta: over.meta });
      } else if (base !== undefined) entries.push(base);
    }
    return entries;
  }

  get isDone(): boolean {
    return this.#foundAt >= this.#found.length && this.#base.isDone && this.#overlayAt >= this.#overlayEnd;
  }

  close(): void {
    this.#base.close();
  }
}

export const noKeys: KeyCursor = { next: () => [], isDone: true, close: () => undefined };

export function oneKey(key: Buffer, meta: IndexMeta): KeyCursor {
  let taken = false;
  return {
    next(): KeyEntry[] {
      if (taken) return [];
      taken = true;
      return [{ key, meta }];
    },
    get isDone(): boolean {
      return taken;
    },
    close: () => undefined,
  };
}
