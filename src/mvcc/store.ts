/**
 * The multi-version key-value store, with etcd's semantics of revisions, over an ordered engine.
 *
 * Columns: `latest` holds the index meta of each live key; `event` each change by revision, with the KeyValue's
 * bytes and a back pointer to the revision it superseded; `version` the index metas of superseded revisions and
 * of tombstones, by key and revision. Values are stored once, in `event`.
 *
 * Writing: `begin()` a transaction for each raft entry, change keys, `end()` it; after a batch of entries
 * `stage(batch)` puts everything into one engine batch, to which the caller adds the applied index; when it is
 * written, `committed()` makes it visible to reads and returns the events for the watchers.
 */
import { assert } from '../lib/assert.ts';
import type { Engine, WriteBatch } from '../ports/engine.ts';
import { eventKeyValue } from './event-row.ts';
import { Fences } from './fences.ts';
import { IndexMeta, decodeIndexMeta } from './index-meta.ts';
import { KeyChanges } from './key-changes.ts';
import { CurrentKeys, type KeyCursor, OverlaidKeys, PastKeys } from './key-cursor.ts';
import { type KeyRange, inRange, keyString } from './key-range.ts';
import { StoreMarks } from './marks.ts';
import { MetaCache } from './meta-cache.ts';
import { type RangeOptions, RangeResult, RangeScan } from './range-scan.ts';
import { RowStager } from './row-stager.ts';
import { REVISION_BYTES, encodeRevision, readMain, readSub } from './revision.ts';
import { versionKey, versionRevisionOffset } from './version-key.ts';
import { WriteTxn } from './write-txn.ts';

/** One change of one key. */
export interface StoreEvent {
  readonly main: number;
  readonly sub: number;
  readonly isDelete: boolean;
  readonly isCreate: boolean;
  readonly key: Buffer;
  /** The encoded KeyValue; of a delete, one with key and modification revision alone. */
  readonly kv: Buffer;
  /** What the change superseded; undefined where the key came into being. */
  readonly previous: IndexMeta | undefined;
}

/** A key changed since the last commit. */
interface PendingKey {
  readonly key: Buffer;
  /** Undefined for a deleted key. */
  readonly meta: IndexMeta | undefined;
  /** Whether the engine's `latest` has the key. */
  readonly stored: boolean;
}

export interface StoreOptions {
  /** Bytes for index metas and values of recently used keys. */
  readonly cacheBytes: number;
  /** Creations and deletions kept in memory for counts at past revisions. */
  readonly keyChangeCapacity: number;
}

export const defaultStoreOptions: StoreOptions = { cacheBytes: 160 * 2 ** 20, keyChangeCapacity: 32_768 };

/** A read came too late for a revision that the index had named. It ends; nothing that is stored is in doubt. */
export class RevisionGoneError extends Error {
  override readonly name = 'RevisionGoneError';
}

/** What a read was refused for. */
export type RangeRefusal = 'compacted' | 'future';

const CHUNK_KEYS = 512;

/** Estimate of what one revision takes beside its KeyValue: its key, its back pointer and the index. */
export const REVISION_OVERHEAD_BYTES = 48;

export class MvccStore {
  readonly engine: Engine;
  fences: Fences;
  marks: StoreMarks;
  readonly #cache: MetaCache;
  readonly #rows = new RowStager();
  readonly #options: StoreOptions;
  #changes: KeyChanges;
  #revision: number;
  #committedRevision: number;
  #pending = new Map<string, PendingKey>();
  /** Keys that a prefetch found missing; only until the next commit, as they may come into being. */
  readonly #absent = new Set<string>();
  #events: StoreEvent[] = [];
  #staged = false;
  /** What scans under way see. */
  readonly #heldRevisions = new Set<{ readonly revision: number }>();

  constructor(engine: Engine, options: StoreOptions = defaultStoreOptions) {
    this.engine = engine;
    this.#options = options;
    this.marks = new StoreMarks(engine);
    this.fences = new Fences(engine);
    this.#cache = new MetaCache(options.cacheBytes);
    this.#revision = Math.max(lastEventRevision(engine), this.marks.revision);
    this.#committedRevision = this.#revision;
    this.#changes = new KeyChanges(options.keyChangeCapacity, this.#revision);
  }

  /** Reads everything from the engine anew, dropping changes that were not committed. */
  recover(): void {
    const { engine } = this;
    this.marks = new StoreMarks(engine);
    this.fences = new Fences(engine);
    this.#cache.clear();
    this.#revision = Math.max(lastEventRevision(engine), this.marks.revision);
    this.#committedRevision = this.#revision;
    this.#changes = new KeyChanges(this.#options.keyChangeCapacity, this.#revision);
    this.#pending = new Map();
    this.#absent.clear();
    this.#events = [];
    this.#staged = false;
  }

  /** The revision of the last transaction that changed something; a new store begins at 1. */
  get revision(): number {
    return this.#revision;
  }

  /** The newest revision the engine holds; later ones are pending. */
  get committedRevision(): number {
    return this.#committedRevision;
  }

  /** Reads below it are refused; -1 before the first compaction. */
  get compactRevision(): number {
    return this.marks.compactRevision;
  }

  /** Live keys as of the last commit. */
  get keyCount(): number {
    return this.fences.total;
  }

  /** What the quota limits: the bytes of all revisions not removed yet, with what keeping each one costs. */
  get sizeBytes(): number {
    return this.marks.sizeBytes;
  }

  /** Changes that wait to be staged. */
  get pendingEvents(): number {
    return this.#events.length;
  }

  begin(): WriteTxn {
    assert(!this.#staged, 'no transaction begins between stage and commit');
    return new WriteTxn(this, this.#revision + 1);
  }

  /** Reads the index metas of all `keys` at once, for the entries of a batch that is about to be applied. */
  prefetch(keys: readonly Buffer[]): void {
    const missing: Buffer[] = [];
    const names: string[] = [];
    for (const key of keys) {
      const name = keyString(key);
      if (this.#pending.has(name) || this.#cache.get(name) !== undefined) continue;
      missing.push(key);
      names.push(name);
    }
    if (missing.length === 0) return;
    const rows = this.engine.getMany('latest', missing);
    for (let at = 0; at < rows.length; at += 1) {
      const row = rows[at];
      const name = names[at];
      if (name === undefined) continue;
      if (row === undefined) this.#absent.add(name);
      else this.#cache.set(name, decodeIndexMeta(row));
    }
  }

  /** The key as of now, pending changes included. */
  lookup(key: Buffer, name: string): IndexMeta | undefined {
    const pending = this.#pending.get(name);
    if (pending !== undefined) return pending.meta;
    const cached = this.#cache.get(name);
    if (cached !== undefined) return cached;
    if (this.#absent.has(name)) return undefined;
    const row = this.engine.get('latest', key);
    if (row === undefined) return undefined;
    const meta = decodeIndexMeta(row);
    this.#cache.set(name, meta);
    return meta;
  }

  /** For `WriteTxn`: takes a change. `previous` is what `lookup` gave. */
  record(name: string, event: StoreEvent, meta: IndexMeta | undefined): void {
    const pending = this.#pending.get(name);
    const stored = pending === undefined ? event.previous !== undefined : pending.stored;
    this.#pending.set(name, { key: event.key, meta, stored });
    this.#events.push(event);
  }

  /** For `WriteTxn`: the transaction is over. */
  finish(revision: number, changes: number): void {
    if (changes > 0) this.#revision = revision;
  }

  /** Puts all changes since the last commit into the batch. The caller writes it and then calls `committed`. */
  stage(batch: WriteBatch): void {
    assert(!this.#staged, 'a batch is committed before the next one is staged');
    this.#staged = true;
    let bytes = 0;
    for (const event of this.#events) {
      this.#rows.event(batch, event);
      bytes += event.kv.length + REVISION_OVERHEAD_BYTES;
    }
    for (const [name, { key, meta, stored }] of this.#pending) {
      if (meta !== undefined) this.#rows.latest(batch, key, meta);
      else if (stored) batch.del('latest', key);
      if (meta !== undefined && !stored) this.fences.change(name, 1);
      if (meta === undefined && stored) this.fences.change(name, -1);
    }
    this.fences.stage(batch);
    if (this.#events.length > 0) {
      this.marks.stageRevision(batch, this.#revision);
      this.marks.stageSize(batch, bytes);
    }
  }

  /** The staged batch is in the engine. Returns its events in order, for the watchers. */
  committed(): readonly StoreEvent[] {
    assert(this.#staged, 'a commit follows a stage');
    this.#staged = false;
    this.#committedRevision = this.#revision;
    for (const [name, { meta }] of this.#pending) {
      if (meta === undefined) this.#cache.delete(name);
      else {
        meta.kv = undefined;
        this.#cache.set(name, meta);
      }
    }
    const events = this.#events;
    for (const event of events) {
      if (event.isCreate) this.#changes.add(event.main, event.key, 1);
      else if (event.isDelete) this.#changes.add(event.main, event.key, -1);
    }
    this.#pending = new Map();
    this.#absent.clear();
    this.#events = [];
    this.fences.settle();
    return events;
  }

  /**
   * Compacts logically: from now on reads below `revision` are refused. The removal is a `CompactionJob`'s.
   *
   * @returns why it cannot be done, as etcd sees it
   */
  compact(revision: number, batch: WriteBatch): RangeRefusal | undefined {
    if (revision <= this.compactRevision) return 'compacted';
    if (revision > this.#revision) return 'future';
    this.marks.stageCompaction(batch, revision);
    return undefined;
  }

  /** Whether a read at `revision` can be answered (0 or less means now). */
  refusal(revision: number): RangeRefusal | undefined {
    if (revision > this.#revision) return 'future';
    if (revision > 0 && revision < this.compactRevision) return 'compacted';
    return undefined;
  }

  /**
   * Begins a range read, which the caller steps. The revision must have passed `refusal`. Outside a batch it sees
   * what is committed; inside one, the pending changes too.
   *
   * @param withTotalCount whether the count must be exact beyond the limit
   */
  scan(options: RangeOptions, withTotalCount = true): RangeScan {
    const scan = this.#beginScan(options, withTotalCount);
    const seen = options.revision > 0 ? options.revision : this.revision;
    scan.hold = () => this.#holdRevision(seen);
    return scan;
  }

  #holdRevision(revision: number): () => void {
    const held = { revision };
    this.#heldRevisions.add(held);
    return () => this.#heldRevisions.delete(held);
  }

  /** Whether a scan under way sees what a compaction at the revision makes removable. */
  isScannedBelow(revision: number): boolean {
    for (const held of this.#heldRevisions) if (held.revision < revision) return true;
    return false;
  }

  #beginScan(options: RangeOptions, withTotalCount: boolean): RangeScan {
    const past = options.revision > 0 && options.revision < this.#revision;
    const readValues = (metas: readonly IndexMeta[]): Buffer[] => this.readValues(metas);
    const { range } = options;
    if (range.single) return this.#scanSingle(options, past);
    if (isEmptyRange(range)) return new RangeScan(options, noKeys, readValues, 0);
    if (past) {
      assert(
        options.revision <= this.#committedRevision,
        'a past revision is read once its batch is committed',
      );
      const cursor = new PastKeys(this.engine, range, options.revision);
      return new RangeScan(options, cursor, readValues, this.#pastCount(options, withTotalCount));
    }
    const overlay = this.#overlayOf(range);
    const keys = new CurrentKeys(this.engine, range);
    // What reads all keys counts them.
    if (options.limit === 0 && !options.countOnly)
      return new RangeScan(
        options,
        overlay.length === 0 ? keys : new OverlaidKeys(keys, overlay),
        readValues,
        undefined,
      );
    if (overlay.length === 0) return new RangeScan(options, keys, readValues, this.fences.count(range));
    let count = this.fences.count(range);
    for (const { meta, stored } of overlay) count += (meta === undefined ? 0 : 1) - (stored ? 1 : 0);
    return new RangeScan(options, new OverlaidKeys(keys, overlay), readValues, count);
  }

  /** A range read in one go, for small ones and for transactions. */
  range(options: RangeOptions): RangeResult {
    const scan = this.scan(options);
    while (!scan.step(CHUNK_KEYS));
    return scan.result();
  }

  /** The encoded KeyValue of a live key, now. */
  get(key: Buffer): IndexMeta | undefined {
    return this.lookup(key, keyString(key));
  }

  /** The key as of a past revision. */
  getAt(key: Buffer, revision: number): IndexMeta | undefined {
    const latest = this.lookup(key, keyString(key));
    if (latest !== undefined && latest.mod <= revision) return latest;
    for (const event of this.#events) {
      if (
        event.previous !== undefined &&
        event.main > revision &&
        event.previous.mod <= revision &&
        event.key.equals(key)
      ) {
        return event.previous;
      }
    }
    const rows = this.engine.iterate('version', {
      gte: versionKey(key, 0, 0),
      lt: versionKey(key, revision + 1, 0),
      reverse: true,
    });
    const [found, row] = rows.next(1);
    rows.close();
    if (found === undefined || row === undefined) return undefined;
    assert(
      readMain(found, versionRevisionOffset(found)) <= revision,
      'a version row found lies at or before the revision',
    );
    const meta = decodeIndexMeta(row);
    return meta.isTombstone ? undefined : meta;
  }

  /**
   * The encoded KeyValues of live or superseded revisions that are not compacted.
   *
   * @throws RevisionGoneError where a compaction has removed one
   */
  readValues(metas: readonly IndexMeta[]): Buffer[] {
    const values = new Array<Buffer>(metas.length);
    const keys: Buffer[] = [];
    const places: number[] = [];
    for (let at = 0; at < metas.length; at += 1) {
      const meta = metas[at];
      assert(meta !== undefined, 'a list of metas has no holes');
      if (meta.kv !== undefined) values[at] = meta.kv;
      else {
        keys.push(encodeRevision(meta.mod, meta.sub));
        places.push(at);
      }
    }
    if (keys.length === 0) return values;
    const rows = this.engine.getMany('event', keys);
    for (let at = 0; at < rows.length; at += 1) {
      const row = rows[at];
      if (row === undefined) throw new RevisionGoneError('a revision was removed before its value was read');
      values[places[at] ?? 0] = eventKeyValue(row);
    }
    return values;
  }

  /**
   * The encoded KeyValue of one revision. It is not kept with the meta, which may be a cached one.
   *
   * @throws RevisionGoneError where a compaction has removed it
   */
  readValue(meta: IndexMeta): Buffer {
    if (meta.kv !== undefined) return meta.kv;
    const row = this.engine.get('event', encodeRevision(meta.mod, meta.sub));
    if (row === undefined) throw new RevisionGoneError('a revision was removed before its value was read');
    return eventKeyValue(row);
  }

  /** All live keys of a range with their metas, pending changes included; for deletes. */
  entries(range: KeyRange): readonly { readonly key: Buffer; readonly meta: IndexMeta }[] {
    if (isEmptyRange(range)) return [];
    const cursor = new OverlaidKeys(new CurrentKeys(this.engine, range), this.#overlayOf(range));
    const all: { key: Buffer; meta: IndexMeta }[] = [];
    while (!cursor.isDone) all.push(...cursor.next(CHUNK_KEYS));
    cursor.close();
    return all;
  }

  #overlayOf(range: KeyRange): PendingKey[] {
    const overlay: PendingKey[] = [];
    for (const pending of this.#pending.values()) if (inRange(range, pending.key)) overlay.push(pending);
    return overlay.sort((a, b) => Buffer.compare(a.key, b.key));
  }

  #scanSingle(options: RangeOptions, past: boolean): RangeScan {
    const { start } = options.range;
    const meta = past ? this.getAt(start, options.revision) : this.get(start);
    if (meta === undefined) return new RangeScan(options, noKeys, () => [], 0);
    const name = keyString(start);
    const readValues = (metas: readonly IndexMeta[]): Buffer[] =>
      metas.map((found) => {
        const kv = this.readValue(found);
        this.#cache.keepValue(name, found, kv);
        return kv;
      });
    return new RangeScan(options, oneKey(start, meta), readValues, 1);
  }

  #pastCount(options: RangeOptions, withTotalCount: boolean): number | undefined {
    if (!withTotalCount) return Infinity;
    if (options.limit === 0 && !options.countOnly) return undefined;
    const since = this.#changes.since(options.revision, options.range);
    return since === undefined ? undefined : this.fences.count(options.range) - since;
  }
}

const noKeys: KeyCursor = { next: () => [], isDone: true, close: () => undefined };

function oneKey(key: Buffer, meta: IndexMeta): KeyCursor {
  let taken = false;
  return {
    next(): { key: Buffer; meta: IndexMeta }[] {
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

function isEmptyRange(range: KeyRange): boolean {
  return range.end !== undefined && Buffer.compare(range.end, range.start) <= 0;
}

/** The newest change's revision; a store without changes stands at 1. */
function lastEventRevision(engine: Engine): number {
  const rows = engine.iterate('event', { gte: Buffer.alloc(0), reverse: true, keysOnly: true });
  const [key] = rows.next(1);
  rows.close();
  return key === undefined ? 1 : readMain(key, 0);
}

/** The revision an event row's key names. */
export function eventRevision(key: Buffer): { main: number; sub: number } {
  assert(key.length === REVISION_BYTES, 'an event row is keyed by its revision');
  return { main: readMain(key, 0), sub: readSub(key, 0) };
}
