import { assert } from '../lib/assert.ts';
import { encodeKeyValue } from '../wire/key-value.ts';
import { EMPTY } from '../wire/reader.ts';
import { varintSize } from '../wire/varint.ts';
import { IndexMeta } from './index-meta.ts';
import { type KeyRange, keyString } from './key-range.ts';
import type { RangeOptions, RangeResult } from './range-scan.ts';
import type { MvccStore } from './store.ts';

/** A key that a delete removed. */
export interface DeletedKey {
  readonly key: Buffer;
  readonly previous: IndexMeta;
}

/** The changes of one raft entry: all at one main revision, told apart by sub revisions in their order. */
export class WriteTxn {
  readonly #store: MvccStore;
  readonly #main: number;
  #changes = 0;
  #ended = false;

  constructor(store: MvccStore, main: number) {
    this.#store = store;
    this.#main = main;
  }

  /** The revision a response carries: the transaction's own once it changed something, else the store's. */
  get revision(): number {
    return this.#changes > 0 ? this.#main : this.#main - 1;
  }

  /** The key as this transaction sees it. */
  get(key: Buffer): IndexMeta | undefined {
    return this.#store.get(key);
  }

  /** The encoded KeyValue of a meta that `get`, `put` or `deleteRange` gave. */
  read(meta: IndexMeta): Buffer {
    return this.#store.readValue(meta);
  }

  /** @returns what the key was before; undefined if it did not exist */
  put(key: Buffer, value: Buffer, lease: bigint): IndexMeta | undefined {
    assert(!this.#ended, 'a transaction that ended changes nothing');
    const name = keyString(key);
    const previous = this.#store.lookup(key, name);
    const main = this.#main;
    const sub = this.#changes;
    const create = previous === undefined ? main : previous.create;
    const version = previous === undefined ? 1 : previous.version + 1;
    const kv = encodeKeyValue({ key, createRevision: create, modRevision: main, version, value, lease });
    const meta = new IndexMeta({ mod: main, sub, create, version, lease, size: kv.length, kv });
    const isCreate = previous === undefined;
    this.#store.record(
      name,
      { main, sub, isDelete: false, isCreate, key: ownKey(key, kv), kv, previous },
      meta,
    );
    this.#changes += 1;
    return previous;
  }

  /** Deletes all keys of the range, in ascending order. */
  deleteRange(range: KeyRange): DeletedKey[] {
    assert(!this.#ended, 'a transaction that ended changes nothing');
    const deleted: DeletedKey[] = [];
    if (range.single) {
      const previous = this.get(range.start);
      if (previous !== undefined) deleted.push({ key: Buffer.from(range.start), previous });
    } else this.#collect(range, deleted);
    for (const { key, previous } of deleted) this.#delete(key, previous);
    return deleted;
  }

  #collect(range: KeyRange, deleted: DeletedKey[]): void {
    for (const { key, meta } of this.#store.entries(range)) deleted.push({ key, previous: meta });
  }

  #delete(key: Buffer, previous: IndexMeta): void {
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
    this.#store.record(
      keyString(key),
      { main, sub, isDelete: true, isCreate: false, key, kv, previous },
      undefined,
    );
    this.#changes += 1;
  }

  /** A range read that sees this transaction's own changes. */
  range(options: RangeOptions): RangeResult {
    return this.#store.range(options);
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
 * The key as a view into the stored KeyValue, which outlives the request's buffer: keeping a view of that one
 * would keep a whole socket chunk alive for a few bytes.
 */
function ownKey(key: Buffer, kv: Buffer): Buffer {
  const header = 1 + varintSize(key.length);
  return kv.subarray(header, header + key.length);
}
