import type { EngineIterator, WriteBatch } from '../ports/engine.ts';
import { decodeEventRow } from './event-row.ts';
import { KeyValueView } from '../wire/key-value.ts';
import { encodeRevision, eventRevision } from './revision.ts';
import { decodeIndexMeta } from './index-meta.ts';
import { type MvccStore, REVISION_OVERHEAD_BYTES } from './store.ts';
import { versionKey, versionUserKey } from './version-key.ts';

/** Gets the key and the bytes of the KeyValue of a removed revision. */
export type RemovalObserver = (key: Buffer, size: number) => void;

/**
 * Removes in slices what a compaction made unreachable: superseded revisions and tombstones below the compacted
 * revision. Superseded revisions are found by the back pointers of the changes since the last finished compaction. As
 * in etcd, a tombstone at the compacted revision itself stays until the next compaction, since watches may start there.
 *
 * Each slice is one engine batch. After an interruption the job starts again from the last finished compaction.
 * Deleting a row twice does no harm.
 */
export class CompactionJob {
  readonly #store: MvccStore;
  readonly #revision: number;
  readonly #rows: EngineIterator;
  readonly #view = new KeyValueView();
  readonly #versionKeys: Buffer[] = [];
  readonly #observer: RemovalObserver | undefined;
  #removed = 0;

  /** @param observer called for each revision whose removal is staged */
  constructor(store: MvccStore, revision: number, observer?: RemovalObserver) {
    this.#store = store;
    this.#revision = revision;
    this.#observer = observer;
    const from = Math.max(store.meta.finishedRevision, 0);
    this.#rows = store.engine.iterate('event', {
      gte: encodeRevision(from, 0),
      lt: encodeRevision(revision + 1, 0),
    });
  }

  get revision(): number {
    return this.#revision;
  }

  /** Revisions removed so far. */
  get removed(): number {
    return this.#removed;
  }

  /**
   * Reads up to `count` changes and stages the removals that follow from them.
   *
   * @returns whether the job is done. The last batch records that.
   */
  step(batch: WriteBatch, count: number): boolean {
    const rows = this.#rows.next(count);
    for (let at = 0; at + 1 < rows.length; at += 2) this.#visit(batch, rows[at], rows[at + 1]);
    this.#stageSize(batch);
    if (rows.length > 0) return false;
    this.#rows.close();
    this.#store.meta.stageFinished(batch, this.#revision);
    return true;
  }

  cancel(): void {
    this.#rows.close();
  }

  #visit(batch: WriteBatch, key: Buffer | undefined, row: Buffer | undefined): void {
    if (key === undefined || row === undefined) return;
    const event = decodeEventRow(row);
    const userKey = this.#view.read(event.kv).key;
    if (event.previous !== undefined) this.#remove(batch, userKey, event.previous.main, event.previous.sub);
    if (!event.isDelete) return;
    const { main, sub } = eventRevision(key);
    if (main < this.#revision) this.#remove(batch, userKey, main, sub);
  }

  /** Rows that an interrupted removal has deleted already are not counted again, since they no longer exist. */
  #stageSize(batch: WriteBatch): void {
    if (this.#versionKeys.length === 0) return;
    let bytes = 0;
    const rows = this.#store.engine.getMany('version', this.#versionKeys);
    for (let at = 0; at < rows.length; at += 1) {
      const [key, row] = [this.#versionKeys[at], rows[at]];
      if (key === undefined || row === undefined) continue;
      const { size } = decodeIndexMeta(row);
      bytes += size + REVISION_OVERHEAD_BYTES;
      this.#observer?.(versionUserKey(key), size);
    }
    this.#versionKeys.length = 0;
    this.#store.meta.stageSize(batch, -bytes);
  }

  #remove(batch: WriteBatch, key: Buffer, main: number, sub: number): void {
    batch.del('event', encodeRevision(main, sub));
    const version = versionKey(key, main, sub);
    batch.del('version', version);
    this.#versionKeys.push(version);
    this.#removed += 1;
  }
}
