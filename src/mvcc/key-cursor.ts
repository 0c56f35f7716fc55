import type { Engine, EngineIterator } from '../ports/engine.ts';
import { type IndexMeta, decodeIndexMeta, indexRowMod } from './index-meta.ts';
import type { KeyRange } from './key-range.ts';
import { readMain } from './revision.ts';
import { versionBound, versionRevisionOffset, versionUserKey } from './version-key.ts';

const CHUNK_ROWS = 128;

/** A key that is live at the revision read, and what the index knows of it. */
export interface KeyEntry {
  readonly key: Buffer;
  readonly meta: IndexMeta;
}

/** Live keys of a range in ascending order, from a frozen view. Must be closed. */
export interface KeyCursor {
  /** Up to about `count` keys; an empty array at the end only. */
  next(count: number): KeyEntry[];
  close(): void;
}

function bounds(range: KeyRange): { gte: Buffer; lt: Buffer | undefined } {
  return { gte: range.start, lt: range.end };
}

/** Live keys as of now. */
export class CurrentKeys implements KeyCursor {
  readonly #rows: EngineIterator;

  constructor(engine: Engine, range: KeyRange) {
    this.#rows = engine.iterate('latest', bounds(range));
  }

  next(count: number): KeyEntry[] {
    const rows = this.#rows.next(count);
    const entries: KeyEntry[] = [];
    for (let at = 0; at + 1 < rows.length; at += 2) {
      const key = rows[at];
      const row = rows[at + 1];
      if (key !== undefined && row !== undefined) entries.push({ key, meta: decodeIndexMeta(row) });
    }
    return entries;
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
    return this.#chunk[this.#at + 1] ?? Buffer.alloc(0);
  }

  advance(): void {
    this.#at += 2;
    if (this.#at >= this.#chunk.length) this.#fill();
  }

  close(): void {
    this.#rows.close();
  }
}

/**
 * Live keys as of a past revision: a merge of the present index with the superseded revisions, of which for each
 * key the newest one at or before the revision counts.
 */
export class PastKeys implements KeyCursor {
  readonly #latest: RowStream;
  readonly #versions: RowStream;
  readonly #revision: number;

  constructor(engine: Engine, range: KeyRange, revision: number) {
    this.#revision = revision;
    this.#latest = new RowStream(engine.iterate('latest', bounds(range)));
    const lt = range.end === undefined ? undefined : versionBound(range.end);
    this.#versions = new RowStream(engine.iterate('version', { gte: versionBound(range.start), lt }));
  }

  next(count: number): KeyEntry[] {
    const entries: KeyEntry[] = [];
    let visited = 0;
    while (entries.length < count && visited < count * 4) {
      const latest = this.#latest.key;
      const version = this.#versions.key;
      if (latest === undefined && version === undefined) return entries;
      visited += 1;
      const versioned = version === undefined ? undefined : versionUserKey(version);
      const order = compareOptional(latest, versioned);
      const key = order <= 0 ? latest : versioned;
      if (key === undefined) return entries;
      const past = order >= 0 ? this.#newestVersion(key) : undefined;
      const present = order <= 0 ? this.#takeLatest() : undefined;
      const meta = present ?? past;
      if (meta !== undefined && !meta.isTombstone) entries.push({ key, meta });
      if (entries.length === 0 && visited >= count * 4) visited = 0;
    }
    return entries;
  }

  #takeLatest(): IndexMeta | undefined {
    const row = this.#latest.value;
    const meta = indexRowMod(row) <= this.#revision ? decodeIndexMeta(row) : undefined;
    this.#latest.advance();
    return meta;
  }

  /** Consumes the superseded revisions of `key`. */
  #newestVersion(key: Buffer): IndexMeta | undefined {
    let newest: Buffer | undefined;
    for (;;) {
      const row = this.#versions.key;
      if (row === undefined || !versionUserKey(row).equals(key)) break;
      if (readMain(row, versionRevisionOffset(row)) <= this.#revision) newest = this.#versions.value;
      this.#versions.advance();
    }
    return newest === undefined ? undefined : decodeIndexMeta(newest);
  }

  close(): void {
    this.#latest.close();
    this.#versions.close();
  }
}

/** Orders keys where undefined stands for the end. */
function compareOptional(a: Buffer | undefined, b: Buffer | undefined): number {
  if (a === undefined) return 1;
  if (b === undefined) return -1;
  return Buffer.compare(a, b);
}

/** Changes not yet in the engine over the keys that are: what a transaction sees of its own writes. */
export class OverlaidKeys implements KeyCursor {
  readonly #base: KeyCursor;
  readonly #overlay: readonly { readonly key: Buffer; readonly meta: IndexMeta | undefined }[];
  #overlayAt = 0;
  #pending: KeyEntry[] = [];
  #baseDone = false;

  /** @param overlay ascending by key; undefined as meta marks a deleted key */
  constructor(
    base: KeyCursor,
    overlay: readonly { readonly key: Buffer; readonly meta: IndexMeta | undefined }[],
  ) {
    this.#base = base;
    this.#overlay = overlay;
  }

  next(count: number): KeyEntry[] {
    const entries: KeyEntry[] = [];
    while (entries.length < count) {
      if (this.#pending.length === 0 && !this.#baseDone) {
        this.#pending = this.#base.next(count);
        this.#baseDone = this.#pending.length === 0;
      }
      const base = this.#pending[0];
      const over = this.#overlay[this.#overlayAt];
      if (base === undefined && over === undefined) break;
      const order = compareOptional(base?.key, over?.key);
      if (order <= 0) this.#pending.shift();
      if (order >= 0) {
        this.#overlayAt += 1;
        if (over?.meta !== undefined) entries.push({ key: over.key, meta: over.meta });
      } else if (base !== undefined) entries.push(base);
    }
    return entries;
  }

  close(): void {
    this.#base.close();
  }
}
