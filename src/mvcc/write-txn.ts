import { assert } from '../lib/assert.ts';
import { runSteps, type Steps } from '../lib/steps.ts';
import { encodeKeyValue, keyValueSize, writeKeyValue } from '../wire/key-value.ts';
import { EMPTY } from '../wire/reader.ts';
import { varintSize } from '../wire/varint.ts';
import { beginEventRow, encodeEventRow } from './event-row.ts';
import { IndexMeta } from './index-meta.ts';
import { type KeyRange, keyString } from './key-range.ts';
import type { RangeOptions } from './range-options.ts';
import type { RangeResult, RangeScan } from './range-scan.ts';
import type { MvccStore } from './store.ts';

/** Keys deleted in one step. */
const KEYS_PER_STEP = 256;
const NOTHING_BEFORE = { main: 0, sub: 0 };

/** A deleted key. */
export interface DeletedKey {
  readonly key: Buffer;
  readonly previous: IndexMeta;
}

/** The changes of one raft entry. All have the same main revision, and sub revisions in the order of the changes. */
export class WriteTxn {
  readonly #store: MvccStore;
  readonly #main: number;
  #changes = 0;
  #ended = false;

  constructor(store: MvccStore, main: number) {
    this.#store = store;
    this.#main = main;
  }

  /** The revision for the response: the transaction's own if it changed something, else the store's. */
  get revision(): number {
    return this.#changes > 0 ? this.#main : this.#main - 1;
  }

  /** The index entry of the key, including the changes of this transaction. */
  get(key: Buffer): IndexMeta | undefined {
    return this.#store.get(key);
  }

  /** The encoded KeyValue of an index entry returned by `get`, `put` or `deleteRange`. */
  read(meta: IndexMeta): Buffer {
    return this.#store.readValue(meta);
  }

  /**
   * @param name the key as a string
   * @returns the previous index entry; undefined if the key did not exist
   */
  put(key: Buffer, value: Buffer, lease: bigint, name = keyString(key)): IndexMeta | undefined {
    assert(!this.#ended, 'a transaction that has ended makes no changes');
    const previous = this.#store.lookup(key, name);
    const main = this.#main;
    const sub = this.#changes;
    const create = previous === undefined ? main : previous.create;
    const version = previous === undefined ? 1 : previous.version + 1;
    const isCreate = previous === undefined;
    const fields = { key, createRevision: create, modRevision: main, version, value, lease };
    const size = keyValueSize(fields);
    const before = previous === undefined ? NOTHING_BEFORE : { main: previous.mod, sub: previous.sub };
    const row = beginEventRow({ isDelete: false, isCreate }, before, size);
    const kv = row.subarray(row.length - size);
    writeKeyValue(kv, 0, fields);
    const meta = new IndexMeta({ mod: main, sub, create, version, lease, size, kv });
    this.#store.record(
      name,
      { main, sub, isDelete: false, isCreate, key: ownKey(key, kv), kv, row, previous },
      meta,
    );
    this.#changes += 1;
    return previous;
  }

  /** Deletes all keys of a small range in one step, in ascending order. */
  deleteRange(range: KeyRange): DeletedKey[] {
    const deleted: DeletedKey[] = [];
    runSteps(this.deleteSteps(range, (key) => deleted.push(key)));
    return deleted;
  }

  /**
   * Deletes all keys of the range, in ascending order.
   *
   * @param each called with each deleted key
   */
  *deleteSteps(range: KeyRange, each: (deleted: DeletedKey) => void): Steps<void> {
    assert(!this.#ended, 'a transaction that has ended makes no changes');
    if (range.single) {
      const previous = this.get(range.start);
      if (previous !== undefined) this.#delete({ key: Buffer.from(range.start), previous }, each);
      return;
    }
    const cursor = this.#store.cursor(range);
    try {
      for (let isFirst = true; !cursor.isDone; isFirst = false) {
        if (!isFirst) yield;
        for (const { key, meta } of cursor.next(KEYS_PER_STEP)) this.#delete({ key, previous: meta }, each);
      }
    } finally {
      cursor.close();
    }
  }

  #delete(deleted: DeletedKey, each: (deleted: DeletedKey) => void): void {
    const { key, previous } = deleted;
    const main = this.#main;
    const sub = this.#changes;
    const kv = encodeKeyValue({
      key,
      createRevision: 0,
      modRevision: 0,
      version: 0,
      value: EMPTY,
      lease: 0n,
    });
    const row = encodeEventRow({ isDelete: true, isCreate: false }, previous.mod, previous.sub, kv);
    this.#store.record(
      keyString(key),
      { main, sub, isDelete: true, isCreate: false, key, kv, row, previous },
      undefined,
    );
    this.#changes += 1;
    each(deleted);
  }

  /** Reads a small range in one step. It sees the changes of this transaction. */
  range(options: RangeOptions): RangeResult {
    return this.#store.range(options);
  }

  /** Begins a range read that sees the changes of this transaction. */
  scan(options: RangeOptions): RangeScan {
    return this.#store.scan(options);
  }

  /** Number of changes so far. */
  get changes(): number {
    return this.#changes;
  }

  end(): void {
    assert(!this.#ended, 'a transaction ends once');
    this.#ended = true;
    this.#store.finish(this.#main, this.#changes);
  }
}

/**
 * The key as a view into the stored KeyValue. A view into the request would keep a whole socket chunk in memory for a
 * few bytes.
 */
function ownKey(key: Buffer, kv: Buffer): Buffer {
  const header = 1 + varintSize(key.length);
  return kv.subarray(header, header + key.length);
}
