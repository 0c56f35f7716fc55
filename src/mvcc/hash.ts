import { crc32c } from '../lib/crc32c.ts';
import type { EngineIterator } from '../ports/engine.ts';
import { decodeEventRow } from './event-row.ts';
import { encodeRevision } from './revision.ts';
import { type MvccStore, eventRevision } from './store.ts';

export interface StoreHash {
  readonly hash: number;
  readonly revision: number;
  readonly compactRevision: number;
}

const BUCKET = Buffer.from('key');
/** etcd's bucket keys: 8 bytes main, an underscore, 8 bytes sub, and a `t` behind tombstones. */
const BUCKET_KEY_BYTES = 17;
const UNDERSCORE = 0x5f;
const TOMBSTONE = 0x74;

function bucketKey(main: number, sub: number, isDelete: boolean): Buffer {
  const key = Buffer.alloc(isDelete ? BUCKET_KEY_BYTES + 1 : BUCKET_KEY_BYTES);
  key.writeBigUInt64BE(BigInt(main), 0);
  key[8] = UNDERSCORE;
  key.writeBigUInt64BE(BigInt(sub), 9);
  if (isDelete) key[BUCKET_KEY_BYTES] = TOMBSTONE;
  return key;
}

/**
 * etcd's HashKV: CRC-32C over the history up to a revision in revision order, as etcd's own database holds it, so
 * that members of either kind can be compared. Of what lies at or below the compaction only what is still
 * reachable at the hashed revision counts, whether or not it is removed already.
 *
 * Two passes over frozen views, in slices: one to learn what is superseded, one to hash.
 */
export class HashJob {
  readonly #revision: number;
  readonly #compactRevision: number;
  readonly #superseded = new Set<string>();
  readonly #marking: EngineIterator;
  readonly #hashing: EngineIterator;
  #marked = false;
  #hash = crc32c(0, BUCKET);

  /** @param revision 0 for the present; it must not lie in the future nor below the compaction */
  constructor(store: MvccStore, revision: number) {
    this.#revision = revision === 0 ? store.revision : revision;
    this.#compactRevision = store.compactRevision;
    const from = encodeRevision(Math.max(store.marks.finishedRevision, 0), 0);
    const lt = encodeRevision(this.#revision + 1, 0);
    this.#marking = store.engine.iterate('event', { gte: from, lt });
    this.#hashing = store.engine.iterate('event', { gte: Buffer.alloc(0), lt });
  }

  /** Visits up to `count` rows; true at the end. */
  step(count: number): boolean {
    return this.#marked
      ? this.#hashRows(this.#hashing.next(count))
      : this.#markRows(this.#marking.next(count));
  }

  cancel(): void {
    this.#marking.close();
    this.#hashing.close();
  }

  #markRows(rows: Buffer[]): boolean {
    for (let at = 1; at < rows.length; at += 2) {
      const row = rows[at];
      if (row === undefined) continue;
      const { previous } = decodeEventRow(row);
      if (previous !== undefined && previous.main <= this.#compactRevision) {
        this.#superseded.add(`${previous.main}/${previous.sub}`);
      }
    }
    this.#marked = rows.length === 0;
    return false;
  }

  #hashRows(rows: Buffer[]): boolean {
    for (let at = 0; at + 1 < rows.length; at += 2) {
      const key = rows[at];
      const row = rows[at + 1];
      if (key === undefined || row === undefined) continue;
      const { main, sub } = eventRevision(key);
      const { isDelete, kv } = decodeEventRow(row);
      if (main <= this.#compactRevision && (isDelete || this.#superseded.has(`${main}/${sub}`))) continue;
      this.#hash = crc32c(crc32c(this.#hash, bucketKey(main, sub, isDelete)), kv);
    }
    if (rows.length > 0) return false;
    this.cancel();
    return true;
  }

  result(): StoreHash {
    return { hash: this.#hash >>> 0, revision: this.#revision, compactRevision: this.#compactRevision };
  }
}
