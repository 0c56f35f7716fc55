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
 *
 * A transaction of many changes is spread over turns of the event loop. While it runs, `hide()` keeps what it has done
 * from reads of others. `stagePart` puts its events and superseded revisions into batches of their own: nobody reads
 * beyond the committed revision, and after a crash the log's entry writes the same rows again. The last batch commits
 * the revision with the applied index and marks it as unsettled: its changes are not in `latest` yet. From then on reads
 * lay them over `latest`, while `stageSettling` brings them there, part by part. After a crash `settleAfterCrash` does
 * that from the events.
 */
import { assert } from '../lib/assert.ts';
import type { Engine, WriteBatch } from '../ports/engine.ts';
import { KeyCounts } from './key-counts.ts';
import { HeldRevisions } from './held-revisions.ts';
import { IndexMeta, decodeIndexMeta } from './index-meta.ts';
import { KeyChanges } from './key-changes.ts';
import { CurrentKeys, type KeyCursor, PastKeys, noKeys, oneKey } from './key-cursor.ts';
import { type KeyRange, isEmptyRange, keyString } from './key-range.ts';
import { StoreMeta } from './store-meta.ts';
import { MetaCache } from './meta-cache.ts';
import { type RangeOptions, RangeResult, RangeScan } from './range-scan.ts';
import { RowStager } from './row-stager.ts';
import { REVISION_BYTES, readMain, readSub } from './revision.ts';
import { type Overlay, overlayOf, type PendingKey, UnsettledKeys } from './unsettled.ts';
import { lastEventRevision, readValue, readValues, versionAt } from './revision-reads.ts';
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

export interface StoreOptions {
  /** Bytes for index metas and values of recently used keys. */
  readonly cacheBytes: number;
  /** Creations and deletions kept in memory for counts at past revisions. */
  readonly keyChangeCapacity: number;
}

export const defaultStoreOptions: StoreOptions = { cacheBytes: 160 * 2 ** 20, keyChangeCapacity: 32_768 };

/** What a read was refused for. */
export type RangeRefusal = 'compacted' | 'future';

const CHUNK_KEYS = 512;
const NO_EVENTS: readonly StoreEvent[] = [];

/** Estimate of what one revision takes beside its KeyValue: its key, its back pointer and the index. */
export const REVISION_OVERHEAD_BYTES = 48;

export class MvccStore {
  readonly engine: Engine;
  keyCounts: KeyCounts;
  meta: StoreMeta;
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
  /** How many of `#events` are in the engine, of a change that is not committed yet. */
  #written = 0;
  /** Their size. */
  #unstagedBytes = 0;
  /** Keys of the batch that settles a part of a large change. */
  #settling = 0;
  #staged = false;
  /** What scans under way see. */
  readonly #heldRevisions = new HeldRevisions();
  /** Reads see what is committed, without the transaction under way. */
  #hidden = false;
  #unsettled: UnsettledKeys | undefined;

  constructor(engine: Engine, options: StoreOptions = defaultStoreOptions) {
    this.engine = engine;
    this.#options = options;
    this.meta = new StoreMeta(engine);
    this.keyCounts = new KeyCounts(engine);
    this.#cache = new MetaCache(options.cacheBytes);
    this.#revision = this.meta.revision ?? lastEventRevision(engine);
    this.#committedRevision = this.#revision;
    this.#changes = new KeyChanges(options.keyChangeCapacity, this.#revision);
  }

  /** Reads everything from the engine anew, dropping changes that were not committed. */
  recover(): void {
    const { engine } = this;
    this.meta = new StoreMeta(engine);
    this.keyCounts = new KeyCounts(engine);
    this.#cache.clear();
    this.#revision = this.meta.revision ?? lastEventRevision(engine);
    this.#committedRevision = this.#revision;
    this.#changes = new KeyChanges(this.#options.keyChangeCapacity, this.#revision);
    this.#pending = new Map();
    this.#absent.clear();
    this.#events = [];
    this.#written = 0;
    this.#unstagedBytes = 0;
    this.#staged = false;
    this.#hidden = false;
    this.#unsettled = undefined;
  }

  /** The revision of the last transaction that changed something; a new store begins at 1. */
  get revision(): number {
    return this.#hidden ? this.#committedRevision : this.#revision;
  }

  /** From now on reads see what is committed: the transaction under way is gone on with in another turn. */
  hide(): void {
    this.#hidden = true;
  }

  /** The transaction under way is gone on with, and sees its own changes. */
  show(): void {
    this.#hidden = false;
  }

  /** The newest revision the engine holds; later ones are pending. */
  get committedRevision(): number {
    return this.#committedRevision;
  }

  /** Reads below it are refused; -1 before the first compaction. */
  get compactRevision(): number {
    return this.meta.compactRevision;
  }

  /** Live keys as of the last commit. */
  get keyCount(): number {
    return this.keyCounts.total;
  }

  /** What the quota limits: the bytes of all revisions not removed yet, with what keeping each one costs. */
  get sizeBytes(): number {
    return this.meta.sizeBytes;
  }

  /** Changes that wait to be committed. */
  get pendingEvents(): number {
    return this.#events.length;
  }

  /** Changes that are in no batch yet. */
  get unwrittenEvents(): number {
    return this.#events.length - this.#written;
  }

  /** Whether the change that is pending, or the one committed last, is too large for one batch. */
  get isLarge(): boolean {
    return this.#written > 0 || this.#unsettled !== undefined;
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
    const pending = this.#hidden ? undefined : this.#pending.get(name);
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

  /**
   * Puts the next events of a large transaction and what they superseded into a batch that commits nothing. The
   * caller writes it at once.
   */
  stagePart(batch: WriteBatch, count: number): void {
    // A store that was never written names no revision, and would take these events for committed ones.
    if (this.#written === 0) this.meta.stageRevision(batch, this.#committedRevision);
    const to = Math.min(this.#events.length, this.#written + count);
    for (let at = this.#written; at < to; at += 1) {
      const event = this.#events[at];
      if (event === undefined) continue;
      this.#rows.event(batch, event);
      this.#unstagedBytes += event.kv.length + REVISION_OVERHEAD_BYTES;
    }
    this.#written = to;
  }

  /** Puts all changes since the last commit into the batch. The caller writes it and then calls `committed`. */
  stage(batch: WriteBatch): void {
    assert(!this.#staged, 'a batch is committed before the next one is staged');
    assert(this.#unsettled === undefined, 'a large change is settled before the next one is committed');
    this.#staged = true;
    if (this.#written > 0) {
      assert(
        this.#written === this.#events.length,
        'all events of a large change are written before it is committed',
      );
      this.meta.stageUnsettled(batch, this.#revision);
      this.#stageMeta(batch, this.#unstagedBytes);
      return;
    }
    let bytes = 0;
    for (const event of this.#events) {
      this.#rows.event(batch, event);
      bytes += event.kv.length + REVISION_OVERHEAD_BYTES;
    }
    for (const [name, pending] of this.#pending) this.#stageLatest(batch, name, pending);
    this.keyCounts.stage(batch);
    if (this.#events.length > 0) this.#stageMeta(batch, bytes);
  }

  #stageMeta(batch: WriteBatch, bytes: number): void {
    this.meta.stageRevision(batch, this.#revision);
    this.meta.stageSize(batch, bytes);
  }

  #stageLatest(batch: WriteBatch, name: string, { key, meta, stored }: PendingKey): void {
    if (meta !== undefined) this.#rows.latest(batch, key, meta);
    else if (stored) batch.del('latest', key);
    if (meta !== undefined && !stored) this.keyCounts.change(name, 1);
    if (meta === undefined && stored) this.keyCounts.change(name, -1);
  }

  /** The staged batch is in the engine. Returns its events in order, for the watchers. */
  committed(): readonly StoreEvent[] {
    assert(this.#staged, 'a commit follows a stage');
    this.#staged = false;
    this.#committedRevision = this.#revision;
    const events = this.#events;
    this.#events = [];
    if (this.#written > 0) {
      this.#written = 0;
      this.#unstagedBytes = 0;
      this.#unsettled = new UnsettledKeys(this.#pending);
      this.#changes = new KeyChanges(this.#options.keyChangeCapacity, this.#revision);
      return events;
    }
    for (const [name, { meta }] of this.#pending) {
      if (meta === undefined) this.#cache.delete(name);
      else {
        meta.kv = undefined;
        this.#cache.set(name, meta);
      }
    }
    for (const event of events) {
      if (event.isCreate) this.#changes.add(event.main, event.key, 1);
      else if (event.isDelete) this.#changes.add(event.main, event.key, -1);
    }
    this.#pending = new Map();
    this.#absent.clear();
    this.keyCounts.settle();
    return events;
  }

  /**
   * Puts the next keys of the large change committed last into a batch. The caller writes it and then calls
   * `partSettled`.
   *
   * @returns whether these are the last ones
   */
  stageSettling(batch: WriteBatch, count: number): boolean {
    const unsettled = this.#unsettled;
    assert(unsettled !== undefined, 'only a large change is settled');
    const { names, keys } = unsettled.next(count);
    this.#settling = keys.length;
    for (let at = 0; at < keys.length; at += 1) {
      const name = names[at];
      const pending = keys[at];
      if (name === undefined || pending === undefined) continue;
      this.#stageLatest(batch, name, pending);
      // While it is pending, nothing takes it from the cache or puts it there.
      this.#cache.delete(name);
    }
    this.keyCounts.stage(batch);
    const isLast = keys.length < count;
    if (isLast) this.meta.stageSettled(batch);
    return isLast;
  }

  /** The batch is in the engine. */
  partSettled(isLast: boolean): void {
    this.#unsettled?.settled(this.#settling);
    this.keyCounts.settle();
    if (!isLast) return;
    this.#unsettled = undefined;
    this.#pending = new Map();
    this.#absent.clear();
  }

  /**
   * Compacts logically: from now on reads below `revision` are refused. The removal is a `CompactionJob`'s.
   *
   * @returns why it cannot be done, as etcd sees it
   */
  compact(revision: number, batch: WriteBatch): RangeRefusal | undefined {
    if (revision <= this.compactRevision) return 'compacted';
    if (revision > this.revision) return 'future';
    this.meta.stageCompaction(batch, revision);
    return undefined;
  }

  /** Whether a read at `revision` can be answered (0 or less means now). */
  refusal(revision: number): RangeRefusal | undefined {
    if (revision > this.revision) return 'future';
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
    scan.hold = () => this.#heldRevisions.hold(seen);
    return scan;
  }

  /** Whether a scan under way sees what a compaction at the revision makes removable. */
  isScannedBelow(revision: number): boolean {
    return this.#heldRevisions.hasBelow(revision);
  }

  #beginScan(options: RangeOptions, withTotalCount: boolean): RangeScan {
    const past = options.revision > 0 && options.revision < this.revision;
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
    const current = new CurrentKeys(this.engine, range);
    const keys = overlay === undefined ? current : overlay.over(current);
    // What reads all keys counts them.
    if (options.limit === 0 && !options.countOnly) return new RangeScan(options, keys, readValues, undefined);
    return new RangeScan(options, keys, readValues, this.#count(range, overlay));
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
    for (const event of this.#hidden ? NO_EVENTS : this.#events) {
      if (
        event.previous !== undefined &&
        event.main > revision &&
        event.previous.mod <= revision &&
        event.key.equals(key)
      ) {
        return event.previous;
      }
    }
    return versionAt(this.engine, key, revision);
  }

  /**
   * The encoded KeyValues of live or superseded revisions that are not compacted.
   *
   * @throws RevisionGoneError where a compaction has removed one
   */
  readValues(metas: readonly IndexMeta[]): Buffer[] {
    return readValues(this.engine, metas);
  }

  /**
   * The encoded KeyValue of one revision. It is not kept with the meta, which may be a cached one.
   *
   * @throws RevisionGoneError where a compaction has removed it
   */
  readValue(meta: IndexMeta): Buffer {
    return readValue(this.engine, meta);
  }

  /** The live keys of a range, as they are at this moment, pending changes included, or at a past revision. */
  cursor(range: KeyRange, revision = this.revision): KeyCursor {
    if (isEmptyRange(range)) return noKeys;
    if (revision < this.revision) return new PastKeys(this.engine, range, revision);
    const keys = new CurrentKeys(this.engine, range);
    return this.#overlayOf(range)?.over(keys) ?? keys;
  }

  /** What a read of a range lays over `latest`; undefined where that shows it all. */
  #overlayOf(range: KeyRange): Overlay | undefined {
    if (this.#unsettled !== undefined) return this.#unsettled.overlayOf(range);
    return this.#hidden ? undefined : overlayOf(this.#pending, range);
  }

  #count(range: KeyRange, overlay = this.#overlayOf(range)): number {
    return this.keyCounts.count(range) + (overlay === undefined ? 0 : overlay.delta);
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
    return since === undefined ? undefined : this.#count(options.range) - since;
  }
}

/** The revision an event row's key names. */
export function eventRevision(key: Buffer): { main: number; sub: number } {
  assert(key.length === REVISION_BYTES, 'an event row is keyed by its revision');
  return { main: readMain(key, 0), sub: readSub(key, 0) };
}
