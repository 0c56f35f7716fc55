import { crc32c } from '../lib/crc32c.ts';
import type { Engine, EngineIterator } from '../ports/engine.ts';
import { decodeEventRow } from './event-row.ts';
import { encodeRevision } from './revision.ts';
import { type MvccStore, eventRevision } from './store.ts';

export interface StoreHash {
  readonly hash: number;
  readonly revision: number;
  readonly compactRevision: number;
}

/** What a hash is made of: rows up to `revision`, of which those up to `compactRevision` count while reachable. */
export interface HashScope {
  readonly engine: Pick<Engine, 'iterate'>;
  readonly revision: number;
  readonly compactRevision: number;
  /** The last compaction whose removal is done; -1 before the first. */
  readonly finishedRevision: number;
  /** The hash is made by a compaction at `revision`, to which tombstones of that very revision are reachable. */
  readonly isCompaction?: boolean;
}

/** The store as it is. @param revision 0 for the present */
export function hashScope(store: MvccStore, revision: number): HashScope {
  const { engine, compactRevision, meta: marks } = store;
  return {
    engine,
    revision: revision === 0 ? store.revision : revision,
    compactRevision,
    finishedRevision: marks.finishedRevision,
  };
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
  readonly #counting: EngineIterator;
  readonly #finishedRevision: number;
  readonly #isCompaction: boolean;
  #pass: 'marking' | 'counting' | 'hashing' = 'marking';
  /** Keys that live at the revision, as far as they are counted. */
  #live = 0;
  #hash = crc32c(0, BUCKET);

  /** The revision must not lie in the future nor below the compaction. */
  constructor({ engine, revision, compactRevision, finishedRevision, isCompaction }: HashScope) {
    this.#isCompaction = isCompaction === true;
    this.#revision = revision;
    this.#compactRevision = compactRevision;
    this.#finishedRevision = Math.max(finishedRevision, 0);
    const from = encodeRevision(this.#finishedRevision, 0);
    // As in etcd, nothing lies before a negative revision.
    const lt = encodeRevision(Math.max(revision + 1, 0), 0);
    this.#marking = engine.iterate('event', { gte: from, lt });
    this.#counting = engine.iterate('event', { gte: Buffer.alloc(0), lt: from, keysOnly: true });
    this.#hashing = engine.iterate('event', { gte: Buffer.alloc(0), lt });
  }

  /** Visits up to `count` rows; true at the end. */
  step(count: number): boolean {
    switch (this.#pass) {
      case 'marking':
        this.#markRows(this.#marking.next(count));
        return false;
      case 'counting':
        this.#countRows(this.#counting.next(count));
        return false;
      case 'hashing':
        return this.#hashRows(this.#hashing.next(count));
    }
  }

  cancel(): void {
    this.#marking.close();
    this.#counting.close();
    this.#hashing.close();
  }

  #markRows(rows: Buffer[]): void {
    for (let at = 0; at + 1 < rows.length; at += 2) {
      const key = rows[at];
      const row = rows[at + 1];
      if (key === undefined || row === undefined) continue;
      const { previous, isDelete } = decodeEventRow(row);
      if (previous !== undefined && previous.main <= this.#compactRevision) {
        this.#superseded.add(`${previous.main}/${previous.sub}`);
      }
      // What the finished compaction left of its own revision lives; later ones add a key or take one away.
      const { main } = eventRevision(key);
      if (main === this.#finishedRevision) this.#live += isDelete ? 0 : 1;
      else if (isDelete) this.#live -= this.#isCompaction && main === this.#revision ? 0 : 1;
      else if (previous === undefined) this.#live += 1;
    }
    if (rows.length === 0) this.#pass = this.#live > 0 ? 'hashing' : 'counting';
  }

  /** Below the finished compaction each row left is a live key's. One live key is enough to know. */
  #countRows(rows: Buffer[]): void {
    this.#live += rows.length / 2;
    if (rows.length > 0 && this.#live <= 0) return;
    // As etcd has it: where no key lives at the revision, nothing counts as unreachable.
    if (this.#live <= 0) this.#superseded.clear();
    this.#pass = 'hashing';
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
