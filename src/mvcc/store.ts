/**
 * The multi-version key-value store, with etcd's semantics of revisions, over an ordered engine.
 *
 * Columns: `latest` holds the index meta of each live key; `event` each change by revision, with the KeyValue's bytes
 * and a back pointer to the revision it superseded; `version` the index metas of superseded revisions and of
 * tombstones, by key and revision. Values are stored once, in `event`.
 *
 * Writing: `begin()` a transaction for each raft entry, change keys, `end()` it; after a batch of entries
 * `stage(batch)` puts everything into one engine batch, to which the caller adds the applied index; when it is written,
 * `committed()` makes it visible to reads and returns the events for the watchers.
 *
 * A transaction of many changes is spread over turns of the event loop. While it runs, `hide()` hides its changes from
 * other reads. `stagePart` puts its events and superseded revisions into batches of their own. That is safe: reads
 * never go beyond the committed revision, and after a crash the log entry writes the same rows again. The last batch
 * commits the revision with the applied index, and marks the revision as unsettled: its changes are not in `latest`
 * yet. From then on reads merge them with `latest`, while `stageSettling` writes them there in parts. After a crash
 * `settleAfterCrash` does that from the events.
 */
import { assert } from '../lib/assert.ts';
import { runSteps, type Steps } from '../lib/steps.ts';
import type { Engine, WriteBatch } from '../ports/engine.ts';
import { KeyCounts } from './key-counts.ts';
import { HeldRevisions } from './held-revisions.ts';
import { IndexMeta, decodeIndexMeta } from './index-meta.ts';
import { KeyChanges } from './key-changes.ts';
import { CurrentKeys, type KeyCursor, PastKeys, noKeys } from './key-cursor.ts';
import { type KeyRange, isEmptyRange, keyString } from './key-range.ts';
import { StoreMeta } from './store-meta.ts';
import { MetaCache } from './meta-cache.ts';
import { type RangeOptions, type ScanNeeds, usesKeys } from './range-options.ts';
import { RangeResult, RangeScan, type ValueReads } from './range-scan.ts';
import { RowStager } from './row-stager.ts';
import type { StoreEvent } from './store-event.ts';
import { defaultStoreOptions, type StoreOptions } from './store-options.ts';
import { type Overlay, overlayOf, type PendingKey, UnsettledKeys } from './unsettled.ts';
import { lastEventRevision, readValue, readValues, versionAt } from './revision-reads.ts';
import { singleKeyScan } from './single-key-scan.ts';
import { ValueCache } from './value-cache.ts';
import { WriteTxn } from './write-txn.ts';

export type { StoreEvent };

/** Why a read was refused. */
export type RangeRefusal = 'compacted' | 'future';

const CHUNK_KEYS = 512;
const NO_EVENTS: readonly StoreEvent[] = [];

/** Estimated bytes of one revision besides its KeyValue: its key, its back pointer and the index. */
export const REVISION_OVERHEAD_BYTES = 48;

export class MvccStore {
  readonly engine: Engine;
  keyCounts: KeyCounts;
  meta: StoreMeta;
  readonly #cache: MetaCache;
  readonly #listed: ValueCache;
  readonly #reads: ValueReads = {
    values: (metas) => this.readValues(metas),
    fields: (metas) => this.#listed.read(metas, this.#reads.values),
  };
  readonly #rows = new RowStager();
  readonly #options: StoreOptions;
  #changes: KeyChanges;
  #revision: number;
  #committedRevision: number;
  #pending = new Map<string, PendingKey>();
  /** Keys that a prefetch did not find. Valid until the next commit, which may create them. */
  readonly #absent = new Set<string>();
  #events: StoreEvent[] = [];
  /** Number of `#events` in the engine that belong to a change that is not committed yet. */
  #written = 0;
  /** Size of the events that are not staged yet. */
  #unstagedBytes = 0;
  /** Number of keys in the batch that settles a part of a large change. */
  #settling = 0;
  #staged = false;
  /** Revisions that running scans read. */
  readonly #heldRevisions = new HeldRevisions();
  /** Whether reads see only what is committed, without the running transaction. */
  #hidden = false;
  #unsettled: UnsettledKeys | undefined;
  /** What a large change leaves unsettled once it is committed. */
  #toSettle: UnsettledKeys | undefined;

  constructor(engine: Engine, given: Partial<StoreOptions> = {}) {
    const options = { ...defaultStoreOptions, ...given };
    this.engine = engine;
    this.#options = options;
    this.meta = new StoreMeta(engine);
    this.keyCounts = runSteps(KeyCounts.load(engine));
    this.#cache = new MetaCache(options.cacheBytes, this.keyCounts.total === 0);
    this.#listed = new ValueCache(options.listCacheBytes, () => this.sizeBytes);
    this.#revision = this.meta.revision ?? lastEventRevision(engine);
    this.#committedRevision = this.#revision;
    this.#changes = new KeyChanges(options.keyChangeCapacity, this.#revision);
  }

  /**
   * Reads everything from the engine again, and drops changes that were not committed. Until the last step the store
   * is as it was.
   */
  *recover(): Steps<void> {
    const { engine } = this;
    const keyCounts = yield* KeyCounts.load(engine);
    this.meta = new StoreMeta(engine);
    this.keyCounts = keyCounts;
    this.#cache.clear(keyCounts.total === 0);
    this.#listed.clear();
    this.#revision = this.meta.revision ?? lastEventRevision(engine);
    this.#committedRevision = this.#revision;
    this.#changes = new KeyChanges(this.#options.keyChangeCapacity, this.#revision);
    this.#pending = new Map();
    this.#absent.clear();
    this.#events = [];
    this.#written = this.#unstagedBytes = 0;
    this.#staged = false;
    this.#hidden = false;
    this.#unsettled = this.#toSettle = undefined;
  }

  /** The revision of the last transaction that changed something; a new store begins at 1. */
  get revision(): number {
    return this.#hidden ? this.#committedRevision : this.#revision;
  }

  /** From now on reads see only what is committed. The running transaction is paused until another turn. */
  hide(): void {
    this.#hidden = true;
  }

  /** The running transaction is resumed, and reads see its changes. */
  show(): void {
    this.#hidden = false;
  }

  /** The newest revision that is committed to the engine. Later ones are pending. */
  get committedRevision(): number {
    return this.#committedRevision;
  }

  /** Reads below it are refused; -1 before the first compaction. */
  get compactRevision(): number {
    return this.meta.compactRevision;
  }

  /** Number of live keys at the last commit. */
  get keyCount(): number {
    return this.keyCounts.total;
  }

  /** The size that the quota limits: bytes of all stored revisions, plus the overhead of each. */
  get sizeBytes(): number {
    return this.meta.sizeBytes;
  }

  /** Number of changes that are not committed yet. */
  get pendingEvents(): number {
    return this.#events.length;
  }

  /** Number of changes that are in no batch yet. */
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

  /** Reads the index entries of all `keys` at once, for the log entries applied next. `keyNames` are their strings. */
  prefetch(keys: readonly Buffer[], keyNames: readonly string[] = []): void {
    if (this.#cache.holdsAll) return;
    const missing: Buffer[] = [];
    const names: string[] = [];
    keys.forEach((key, at) => {
      const name = keyNames[at] ?? keyString(key);
      if (this.#pending.has(name) || this.#absent.has(name) || this.#cache.get(name) !== undefined) return;
      missing.push(key);
      names.push(name);
    });
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

  /** The current index entry of the key, including pending changes. */
  lookup(key: Buffer, name: string): IndexMeta | undefined {
    const pending = this.#hidden ? undefined : this.#pending.get(name);
    if (pending !== undefined) return pending.meta;
    const cached = this.#cache.get(name);
    if (cached !== undefined) return cached;
    if (this.#cache.holdsAll || this.#absent.has(name)) return undefined;
    const row = this.engine.get('latest', key);
    if (row === undefined) return undefined;
    const meta = decodeIndexMeta(row);
    this.#cache.set(name, meta);
    return meta;
  }

  /** For `WriteTxn`: records a change. `previous` is the result of `lookup`. */
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
   * Puts the next events of a large transaction, and the revisions that they superseded, into a batch that commits
   * nothing. The caller writes it at once.
   */
  stagePart(batch: WriteBatch, count: number): void {
    // A store that was never written has no revision row, and would treat these events as committed.
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

  /** All changes of a large transaction are made and written: gets ready for its commit. */
  *prepareLarge(): Steps<void> {
    this.#toSettle = yield* UnsettledKeys.of(this.#pending);
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
      assert(this.#toSettle !== undefined, 'a large change is prepared before it is committed');
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
      this.#unsettled = this.#toSettle;
      this.#toSettle = undefined;
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
   * Puts the next keys of the last committed large change into a batch. The caller writes it and then calls
   * `partSettled`.
   *
   * @returns whether these are the last keys
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
      // The cache is not read or written for this key while it is pending.
      this.#cache.forget(name);
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
   * Compacts logically: from now on reads below `revision` are refused. A `CompactionJob` removes the data.
   *
   * @returns why etcd would refuse it; undefined if it is done
   */
  compact(revision: number, batch: WriteBatch): RangeRefusal | undefined {
    if (revision <= this.compactRevision) return 'compacted';
    if (revision > this.revision) return 'future';
    this.meta.stageCompaction(batch, revision);
    return undefined;
  }

  /** Why a read at `revision` is refused; undefined if it can be served. 0 or less means the current revision. */
  refusal(revision: number): RangeRefusal | undefined {
    if (revision > this.revision) return 'future';
    if (revision > 0 && revision < this.compactRevision) return 'compacted';
    return undefined;
  }

  /**
   * Begins a range read, which the caller steps. `refusal` must have accepted the revision. Outside of a batch it sees
   * what is committed; inside of a batch also the pending changes.
   */
  scan(options: RangeOptions, needs: ScanNeeds = {}): RangeScan {
    const scan = this.#beginScan(options, needs);
    const seen = options.revision > 0 ? options.revision : this.revision;
    scan.hold = () => this.#heldRevisions.hold(seen);
    return scan;
  }

  /** Whether a running scan reads revisions that a compaction at the revision removes. */
  isScannedBelow(revision: number): boolean {
    return this.#heldRevisions.hasBelow(revision);
  }

  #beginScan(options: RangeOptions, needs: ScanNeeds): RangeScan {
    const past = options.revision > 0 && options.revision < this.revision;
    const reads = this.#reads;
    const { range } = options;
    if (range.single) return this.#scanSingle(options, past);
    if (isEmptyRange(range)) return new RangeScan(options, noKeys, reads, 0);
    if (past) {
      assert(
        options.revision <= this.#committedRevision,
        'a past revision is read once its batch is committed',
      );
      const cursor = new PastKeys(this.engine, range, options.revision);
      return new RangeScan(options, cursor, reads, this.#pastCount(options, needs.totalCount ?? true));
    }
    const overlay = this.#overlayOf(range);
    const withKeys = overlay !== undefined || usesKeys(options);
    const current = new CurrentKeys(this.engine, range, withKeys);
    const keys = overlay === undefined ? current : overlay.over(current);
    // A scan that reads all keys counts them itself.
    if (options.limit === 0 && !options.countOnly) return new RangeScan(options, keys, reads, undefined);
    const isCounted = options.countOnly || needs.totalCount !== false;
    return new RangeScan(options, keys, reads, isCounted ? this.#count(range, overlay) : Infinity);
  }

  /** A range read in one step, for small ranges and for transactions. */
  range(options: RangeOptions): RangeResult {
    const scan = this.scan(options);
    while (!scan.step(CHUNK_KEYS));
    return scan.result();
  }

  /** The index entry of a live key, now. */
  get(key: Buffer, name = keyString(key)): IndexMeta | undefined {
    return this.lookup(key, name);
  }

  /** The index entry of the key at a past revision. */
  getAt(key: Buffer, revision: number): IndexMeta | undefined {
    const latest = this.lookup(key, keyString(key));
    if (latest !== undefined && latest.mod <= revision) return latest;
    for (const event of this.#hidden ? NO_EVENTS : this.#events) {
      const { previous } = event;
      if (previous === undefined || event.main <= revision || previous.mod > revision) continue;
      if (event.key.equals(key)) return previous;
    }
    return versionAt(this.engine, key, revision);
  }

  /**
   * The encoded KeyValues of live or superseded revisions that are not compacted.
   *
   * @throws RevisionGoneError if a compaction has removed one
   */
  readValues(metas: readonly IndexMeta[]): Buffer[] {
    return readValues(this.engine, metas);
  }

  /**
   * The encoded KeyValue of one revision. It is not attached to the index entry, which may be a cached one.
   *
   * @throws RevisionGoneError if a compaction has removed it
   */
  readValue(meta: IndexMeta): Buffer {
    return readValue(this.engine, meta);
  }

  /** The live keys of a range, either now with the pending changes, or at a past revision. */
  cursor(range: KeyRange, revision = this.revision): KeyCursor {
    if (isEmptyRange(range)) return noKeys;
    if (revision < this.revision) return new PastKeys(this.engine, range, revision);
    const keys = new CurrentKeys(this.engine, range);
    return this.#overlayOf(range)?.over(keys) ?? keys;
  }

  /** The changes that a read of a range merges with `latest`; undefined if there are none. */
  #overlayOf(range: KeyRange): Overlay | undefined {
    if (this.#unsettled !== undefined) return this.#unsettled.overlayOf(range);
    return this.#hidden ? undefined : overlayOf(this.#pending, range);
  }

  #count(range: KeyRange, overlay = this.#overlayOf(range)): number {
    return this.keyCounts.count(range) + (overlay === undefined ? 0 : overlay.delta);
  }

  /** The encoded KeyValue of a live key, now; it must not be changed. One of more than `maxBytes` is not read. */
  readKey(key: Buffer, maxBytes: number): Buffer | 'large' | undefined {
    const name = keyString(key);
    const meta = this.lookup(key, name);
    if (meta === undefined) return undefined;
    return meta.size > maxBytes ? 'large' : this.#readKept(name, meta);
  }

  /** Reads a value and keeps it with its index entry. */
  #readKept(name: string, meta: IndexMeta): Buffer {
    const kv = this.readValue(meta);
    this.#cache.keepValue(name, meta, kv);
    return kv;
  }

  #scanSingle(options: RangeOptions, past: boolean): RangeScan {
    const { start } = options.range;
    const name = keyString(start);
    const meta = past ? this.getAt(start, options.revision) : this.get(start, name);
    return singleKeyScan(options, meta, (found) => this.#readKept(name, found));
  }

  #pastCount(options: RangeOptions, withTotalCount: boolean): number | undefined {
    if (!withTotalCount) return Infinity;
    if (options.limit === 0 && !options.countOnly) return undefined;
    const since = this.#changes.since(options.revision, options.range);
    return since === undefined ? undefined : this.#count(options.range) - since;
  }
}
