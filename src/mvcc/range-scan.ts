import { assert } from '../lib/assert.ts';
import { varintSize } from '../wire/varint.ts';
import { encodeKeyValue } from '../wire/key-value.ts';
import { KeyValueView } from '../wire/key-value.ts';
import { EMPTY } from '../wire/reader.ts';
import { SlicedSort } from '../lib/sliced-sort.ts';
import {
  RangeRequestSortOrder as SortOrder,
  RangeRequestSortTarget as SortTarget,
} from '../wire/gen/etcdserverpb.ts';
import type { IndexMeta } from './index-meta.ts';
import { type KeyCursor, type KeyEntry, withPackedKeys } from './key-cursor.ts';
import { hasFilters, isDefaultOrder, passes, type RangeOptions, usesKeys } from './range-options.ts';
import { compareValues, SortableValues, type SortableValue } from './sortable-values.ts';
import { joinFields, type ReadValues } from './value-cache.ts';

/** Values by revision. @throws RevisionGoneError */
export interface ValueReads {
  /** The encoded KeyValues. */
  readonly values: ReadValues;
  /** The same as fields `kvs` of a RangeResponse, in any number of pieces. */
  readonly fields: ReadValues;
}

/** At most this many values are read in one call, to limit its time. */
const VALUES_PER_READ = 256;
const FIELDS_PER_READ = 128;

interface Found {
  readonly count: number;
  readonly more: boolean;
  readonly entries: readonly KeyEntry[];
  readonly reads: ValueReads;
  readonly encoded?: readonly Buffer[];
  readonly fieldBytes: number;
}

/** The result of a range read. The KeyValues are read in order, when the caller takes them. */
export class RangeResult {
  /** Number of keys in the whole range at the revision, without limit and filters. */
  readonly count: number;
  readonly more: boolean;
  /** Number of KeyValues. */
  readonly length: number;
  /** Bytes of all KeyValues as fields of a response. */
  readonly fieldBytes: number;
  readonly #entries: readonly KeyEntry[];
  readonly #reads: ValueReads;
  readonly #encoded: readonly Buffer[] | undefined;
  #at = 0;

  constructor(found: Found) {
    this.count = found.count;
    this.more = found.more;
    this.fieldBytes = found.fieldBytes;
    this.#entries = found.entries;
    this.#reads = found.reads;
    this.#encoded = found.encoded;
    this.length = found.entries.length;
  }

  /** Nothing is left to read. */
  get isRead(): boolean {
    return this.#at >= this.length;
  }

  /** The key at a place. If the scan did not return keys, it is read from the KeyValue. */
  keyAt(at: number): Buffer {
    const entry = this.#entries[at];
    assert(entry !== undefined, 'a range result has a key for each KeyValue');
    if (entry.key.length > 0) return entry.key;
    const [kv] = this.#reads.values([entry.meta]);
    return new KeyValueView().read(kv ?? EMPTY).key;
  }

  /** At most `most` KeyValues from a place on, and no more after they have `bytes`. */
  part(from: number, most: number, bytes: number): RangeResult {
    const end = Math.min(this.length, from + most);
    let to = from;
    let fieldBytes = 0;
    for (let size = 0; to < end && size < bytes; to += 1) {
      size += this.#sizeAt(to);
      fieldBytes += fieldSize(this.#sizeAt(to));
    }
    const entries = this.#entries.slice(from, to);
    const more = this.more || to < this.length;
    const found = { count: this.count, more, entries, reads: this.#reads, fieldBytes };
    return new RangeResult(
      this.#encoded === undefined ? found : { ...found, encoded: this.#encoded.slice(from, to) },
    );
  }

  /** Size of an encoded KeyValue, known before it is read. */
  #sizeAt(at: number): number {
    return this.#encoded === undefined
      ? (this.#entries[at]?.meta.size ?? 0)
      : (this.#encoded[at]?.length ?? 0);
  }

  /** The next encoded KeyValues: about `maxBytes`, at least one. An empty array at the end. */
  read(maxBytes: number): Buffer[] {
    const from = this.#at;
    this.#advance(maxBytes, VALUES_PER_READ);
    if (this.#encoded !== undefined) return this.#encoded.slice(from, this.#at);
    const values = this.#reads.values(this.#metas(from));
    for (let at = 0; at < values.length; at += 1) {
      assert(values[at]?.length === this.#sizeAt(from + at), 'the index knows the size of each KeyValue');
    }
    return values;
  }

  /**
   * As `read`, but as fields `kvs` of a RangeResponse, in any number of pieces of any size; empty at the end. The
   * pieces are memory that does not change.
   */
  readFields(maxBytes: number): Buffer[] {
    const from = this.#at;
    this.#advance(maxBytes, FIELDS_PER_READ);
    if (from === this.#at) return [];
    if (this.#encoded !== undefined) return [joinFields(this.#encoded.slice(from, this.#at))];
    return this.#reads.fields(this.#metas(from));
  }

  #metas(from: number): IndexMeta[] {
    const metas: IndexMeta[] = [];
    for (let at = from; at < this.#at; at += 1) {
      const entry = this.#entries[at];
      if (entry !== undefined) metas.push(entry.meta);
    }
    return metas;
  }

  #advance(maxBytes: number, maxValues: number): void {
    const end = Math.min(this.length, this.#at + maxValues);
    for (let bytes = 0; this.#at < end && (bytes === 0 || bytes < maxBytes); this.#at += 1)
      bytes += this.#sizeAt(this.#at);
  }

  readAll(): Buffer[] {
    const all: Buffer[] = [];
    for (let part = this.read(Infinity); part.length > 0; part = this.read(Infinity)) {
      for (const kv of part) all.push(kv);
    }
    return all;
  }
}

function fieldSize(size: number): number {
  return 1 + varintSize(size) + size;
}

type Order = (a: KeyEntry, b: KeyEntry) => number;

const orders: Readonly<Record<number, Order>> = {
  [SortTarget.KEY]: (a, b) => Buffer.compare(a.key, b.key),
  [SortTarget.VERSION]: (a, b) => a.meta.version - b.meta.version,
  [SortTarget.CREATE]: (a, b) => a.meta.create - b.meta.create,
  [SortTarget.MOD]: (a, b) => a.meta.mod - b.meta.mod,
};

/** Bytes of values read in one step of sorting by value. */
const SORT_READ_BYTES = 256 * 1024;
/** A sorting step moves this many items for each key that it may read: a comparison costs less than a row. */
const MOVES_PER_KEY = 4;

/** Entries looked at in one step, without reading anything. */
const MEASURED_PER_STEP = 16_384;

function withoutKey(entry: KeyEntry): KeyEntry {
  return entry.key.length === 0 ? entry : { key: EMPTY, meta: entry.meta };
}

/**
 * One range read, done in steps so that a long one is spread over turns of the event loop: reading keys, sorting them
 * and encoding keys without values. All steps see the same state, since the cursor is frozen.
 *
 * Values are read by revision and not from the frozen view. So from the first step that does not finish until the
 * result is taken, the scan prevents compactions from removing what it reads. The first step is in the turn that
 * creates the scan, and it must be stepped until it is done or canceled. Values that are not read in the turn that
 * takes the result need a hold of their own.
 *
 * The order of work is that of etcd: with a sort order or a filter, all keys are fetched, filtered and sorted, and only
 * then cut to the limit.
 */
export class RangeScan {
  readonly #options: RangeOptions;
  readonly #cursor: KeyCursor;
  readonly #reads: ValueReads;
  readonly #knownCount: number | undefined;
  readonly #fetch: number;
  readonly #keep: boolean;
  readonly #steps: Generator<void, void>;
  #entries: KeyEntry[] = [];
  #encoded: Buffer[] | undefined;
  #fieldBytes = 0;
  #more = false;
  #visited = 0;
  /** Keys that the current step may still read. */
  #left = 0;
  #done = false;
  #release: (() => void) | undefined;

  /** Prevents compactions from removing what the scan reads, until the returned function is called. */
  hold: (() => () => void) | undefined;

  /** @param knownCount number of keys in the whole range, if known without reading them */
  constructor(options: RangeOptions, cursor: KeyCursor, reads: ValueReads, knownCount: number | undefined) {
    this.#options = options;
    this.#cursor = cursor;
    this.#reads = reads;
    this.#knownCount = knownCount;
    const cut = isDefaultOrder(options) && !hasFilters(options) && options.limit > 0;
    this.#keep = !options.countOnly;
    this.#fetch = cut ? options.limit + 1 : Infinity;
    this.#steps = this.#run();
  }

  /** Does the work for about `maxKeys` more keys. True when everything is found and the cursor is closed. */
  step(maxKeys: number): boolean {
    if (this.#done) return true;
    this.#left = maxKeys;
    try {
      this.#done = this.#steps.next().done === true;
    } catch (error) {
      this.cancel();
      throw error;
    }
    if (!this.#done) this.#release ??= this.hold?.();
    return this.#done;
  }

  /** Cancels the scan and closes the cursor. Does nothing if the result was taken. */
  cancel(): void {
    if (!this.#done) this.#cursor.close();
    this.#done = true;
    this.#letGo();
  }

  /** The result. Its values must be read in this turn, unless something else holds their revisions. */
  result(): RangeResult {
    assert(this.#done, 'a range result is taken when the scan is done');
    this.#letGo();
    const count = this.#knownCount ?? this.#visited;
    const fieldBytes = this.#fieldBytes;
    const found = { count, more: this.#more, entries: this.#entries, reads: this.#reads, fieldBytes };
    return new RangeResult(this.#encoded === undefined ? found : { ...found, encoded: this.#encoded });
  }

  #letGo(): void {
    this.#release?.();
    this.#release = undefined;
  }

  *#run(): Generator<void, void> {
    yield* this.#visit();
    yield* this.#sort();
    const { limit, keysOnly } = this.#options;
    this.#more = limit > 0 && this.#entries.length > limit;
    if (this.#more) this.#entries = this.#entries.slice(0, limit);
    if (keysOnly) yield* this.#encodeKeys();
    else yield* this.#measure();
  }

  *#measure(): Generator<void, void> {
    for (let at = 0; at < this.#entries.length; at += MEASURED_PER_STEP) {
      if (at > 0) yield;
      const end = Math.min(at + MEASURED_PER_STEP, this.#entries.length);
      for (let place = at; place < end; place += 1)
        this.#fieldBytes += fieldSize(this.#entries[place]?.meta.size ?? 0);
    }
  }

  *#visit(): Generator<void, void> {
    const needsAll = this.#knownCount === undefined;
    while (!this.#cursor.isDone && (needsAll || (this.#keep && this.#visited < this.#fetch))) {
      if (this.#left <= 0) yield;
      const found = this.#cursor.next(
        needsAll ? this.#left : Math.min(this.#left, this.#fetch - this.#visited),
      );
      // Rows that a cursor skips cost as much as keys that it returns.
      this.#left = Math.min(this.#left - found.length, this.#left >> 1);
      this.#visited += found.length;
      if (!this.#keep || this.#entries.length >= this.#fetch) continue;
      this.#add(found);
    }
    this.#cursor.close();
  }

  /** Keeps what passes, but none of the buffers that keys were read into. */
  #add(found: readonly KeyEntry[]): void {
    const passed = found.filter(({ meta }) => passes(this.#options, meta));
    const kept = usesKeys(this.#options) ? withPackedKeys(passed) : passed.map(withoutKey);
    for (const entry of kept) this.#entries.push(entry);
  }

  *#sort(): Generator<void, void> {
    const { sortTarget } = this.#options;
    let { sortOrder } = this.#options;
    if (sortTarget !== SortTarget.KEY && sortOrder === SortOrder.NONE) sortOrder = SortOrder.ASCEND;
    const ascending = sortOrder !== SortOrder.DESCEND;
    if (sortTarget === SortTarget.KEY && ascending) return;
    if (sortTarget === SortTarget.VALUE) {
      yield* this.#sortByValue(ascending);
      return;
    }
    const order = orders[sortTarget];
    assert(order !== undefined, 'a sort target passed the request checks');
    this.#entries = yield* this.#sorted(this.#entries, ascending ? order : (a, b) => order(b, a));
  }

  *#sortByValue(ascending: boolean): Generator<void, void> {
    const found = { count: 0, more: false, entries: this.#entries, reads: this.#reads, fieldBytes: 0 };
    const values = new RangeResult(found);
    const view = new KeyValueView();
    const sortable = new SortableValues();
    for (let kvs = values.read(SORT_READ_BYTES); kvs.length > 0; kvs = values.read(SORT_READ_BYTES)) {
      for (const kv of kvs) {
        const entry = this.#entries[sortable.all.length];
        assert(entry !== undefined, 'each key has one value');
        sortable.add(entry, view.read(kv).value);
      }
      yield;
    }
    const order = ascending ? compareValues : (a: SortableValue, b: SortableValue) => compareValues(b, a);
    const sorted = yield* this.#sorted(sortable.all, order);
    // In place: copying all of a long list would take too long for one step.
    for (const [place, { entry }] of sorted.entries()) {
      if (place % MEASURED_PER_STEP === MEASURED_PER_STEP - 1) yield;
      this.#entries[place] = entry;
    }
  }

  *#sorted<Item>(items: Item[], order: (a: Item, b: Item) => number): Generator<void, Item[]> {
    const sort = new SlicedSort(items, order);
    for (;;) {
      if (this.#left <= 0) yield;
      const done = sort.step(this.#left * MOVES_PER_KEY);
      this.#left = 0;
      if (done) return sort.result;
    }
  }

  *#encodeKeys(): Generator<void, void> {
    const withLease = this.#options.sortTarget === SortTarget.VALUE;
    const encoded: Buffer[] = [];
    for (const { key, meta } of this.#entries) {
      if (this.#left <= 0) yield;
      this.#left -= 1;
      const kv = encodeKeyOnly(key, meta, withLease);
      encoded.push(kv);
      this.#fieldBytes += fieldSize(kv.length);
    }
    this.#encoded = encoded;
  }
}

/** A keys-only KeyValue. etcd omits the lease too, unless it had to read the value for sorting. */
function encodeKeyOnly(key: Buffer, meta: IndexMeta, withLease: boolean): Buffer {
  return encodeKeyValue({
    key,
    createRevision: meta.create,
    modRevision: meta.mod,
    version: meta.version,
    value: EMPTY,
    lease: withLease ? meta.lease : 0n,
  });
}
