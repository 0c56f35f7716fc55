import { BoltFormatError } from '../bbolt/errors.ts';
import type { BoltElement } from '../bbolt/reader.ts';
import { attachedRow } from '../lease/rows.ts';
import { reasonOf } from '../lib/text.ts';
import { encodeEventRow } from '../mvcc/event-row.ts';
import { IndexMeta } from '../mvcc/index-meta.ts';
import { keyString } from '../mvcc/key-range.ts';
import { encodeRevision } from '../mvcc/revision.ts';
import type { MvccStore } from '../mvcc/store.ts';
import type { Engine, WriteBatch } from '../ports/engine.ts';
import { KeyValue } from '../wire/gen/mvccpb.ts';
import { EMPTY } from '../wire/reader.ts';
import { parseRevisionKey, type RevisionKey } from './schema.ts';

const BATCH_EVENTS = 1000;
const BATCH_BYTES = 4 << 20;
export interface HistoryImportOptions {
  readonly engine: Engine;
  readonly store: MvccStore;
  /** The IDs of the existing leases. As in etcd, keys of other leases are not attached. */
  readonly leases: ReadonlySet<bigint>;
  readonly compactRevision: number;
}

interface Change {
  readonly revision: RevisionKey;
  readonly kv: KeyValue;
  readonly bytes: Buffer;
}

/**
 * Imports the history of etcd's bucket `key` in the order of revisions. From it, it derives the data that Keystead
 * adds: the index of live keys and superseded revisions, the counts, and the keys of each lease. The index built so
 * far tells what a change superseded.
 */
export class HistoryImport {
  readonly #options: HistoryImportOptions;
  readonly #changes: Change[] = [];
  #bytes = 0;
  #events = 0;
  #lastRevision = 0;

  constructor(options: HistoryImportOptions) {
    this.#options = options;
  }

  /** @throws BoltFormatError if the row is not a change of a key */
  run(
    elements: Iterable<BoltElement>,
    onProgress?: (events: number) => void,
  ): { events: number; lastRevision: number } {
    for (const { key, value } of elements) {
      const revision = parseRevisionKey(key);
      if (revision === undefined)
        throw new BoltFormatError(`bucket "key": ${key.toString('hex')} is no revision`);
      this.#changes.push({ revision, kv: decode(key, value), bytes: value });
      this.#bytes += value.length;
      if (this.#changes.length < BATCH_EVENTS && this.#bytes < BATCH_BYTES) continue;
      this.#write();
      onProgress?.(this.#events);
    }
    this.#write();
    return { events: this.#events, lastRevision: this.#lastRevision };
  }

  #write(): void {
    if (this.#changes.length === 0) return;
    const { engine, store } = this.#options;
    store.prefetch(
      this.#changes.filter(({ kv }) => kv.version !== 1 && kv.key.length > 0).map(({ kv }) => kv.key),
    );
    const batch = engine.batch();
    for (const change of this.#changes) this.#take(batch, change);
    store.stage(batch);
    engine.write(batch);
    store.committed();
    this.#events += this.#changes.length;
    this.#changes.length = 0;
    this.#bytes = 0;
  }

  #take(batch: WriteBatch, change: Change): void {
    const { store } = this.#options;
    const { revision, kv, bytes } = change;
    const { main, sub, isDelete } = revision;
    this.#lastRevision = main;
    if (kv.key.length === 0) {
      // A row of `etcdutl snapshot restore --bump-revision`: a revision without a key, which only the history has.
      batch.put(
        'event',
        encodeRevision(main, sub),
        encodeEventRow({ isDelete, isCreate: false }, 0, 0, bytes),
      );
      return;
    }
    if (!isDelete && kv.modRevision !== main)
      throw new BoltFormatError(
        `bucket "key": the change at revision ${main} says that it is of ${kv.modRevision}`,
      );
    const name = keyString(kv.key);
    const isCreate = !isDelete && kv.version === 1;
    const previous = isCreate ? undefined : store.lookup(kv.key, name);
    const meta = isDelete ? undefined : indexMeta(change);
    const row = encodeEventRow({ isDelete, isCreate }, previous?.mod ?? 0, previous?.sub ?? 0, bytes);
    store.record(name, { main, sub, isDelete, isCreate, key: kv.key, kv: bytes, row, previous }, meta);
    store.finish(main, 1);
    this.#moveLease(batch, kv.key, previous?.lease ?? 0n, isDelete ? 0n : kv.lease);
  }

  #moveLease(batch: WriteBatch, key: Buffer, before: bigint, after: bigint): void {
    if (before === after) return;
    const { leases } = this.#options;
    if (leases.has(before)) batch.del('lease', attachedRow(before, key));
    if (leases.has(after)) batch.put('lease', attachedRow(after, key), EMPTY);
  }
}

function indexMeta({ revision, kv, bytes }: Change): IndexMeta {
  return new IndexMeta({
    mod: revision.main,
    sub: revision.sub,
    create: kv.createRevision,
    version: kv.version,
    lease: kv.lease,
    size: bytes.length,
    // The bytes belong to a page of the file. The cache must not keep them.
    kv: undefined,
  });
}

function decode(key: Buffer, value: Buffer): KeyValue {
  try {
    return KeyValue.decode(value);
  } catch (error) {
    const reason = reasonOf(error);
    throw new BoltFormatError(`bucket "key": the change at ${key.toString('hex')} can't be read: ${reason}`);
  }
}
