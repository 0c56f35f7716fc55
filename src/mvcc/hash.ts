import { crc32c } from '../lib/crc32c.ts';
import type { Engine, EngineIterator } from '../ports/engine.ts';
import { EMPTY } from '../wire/reader.ts';
import { decodeEventRow } from './event-row.ts';
import { encodeRevision, eventRevision } from './revision.ts';
import type { MvccStore } from './store.ts';

export interface StoreHash {
  readonly hash: number;
  readonly revision: number;
  readonly compactRevision: number;
}

/** The rows that a hash covers: all up to `revision`, but those up to `compactRevision` only if they are reachable. */
export interface HashScope {
  readonly engine: Pick<Engine, 'iterate'>;
  readonly revision: number;
  readonly compactRevision: number;
  /** Revision of the last compaction that has removed everything; -1 before the first. */
  readonly finishedRevision: number;
  /** Whether a compaction at `revision` makes the hash. Tombstones of that revision then count as reachable. */
  readonly isCompaction?: boolean;
}

/** The scope of a hash of the store now. @param revision 0 for the current revision */
export function hashScope(store: MvccStore, revision: number): HashScope {
  const { engine, compactRevision, meta } = store;
  return {
    engine,
    revision: revision === 0 ? store.revision : revision,
    compactRevision,
    finishedRevision: meta.finishedRevision,
  };
}

const BUCKET = Buffer.from('key');
/** etcd's bucket keys: 8 bytes main, an underscore, 8 bytes sub, and a `t` after tombstones. */
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
 * etcd's HashKV: CRC-32C over the history up to a revision, in revision order, in the form of etcd's own database. So
 * members of Keystead and of etcd can be compared. At or below the compacted revision, only rows that are still
 * reachable at the hashed revision count, whether or not the others are removed already.
 *
 * It reads frozen views in slices: one pass finds the superseded rows, another one hashes.
 */
export class HashJob {
  readonly #revision: number;
  readonly #compactRevision: number;
  readonly #superseded = new Set<string>();
  readonly #marking: EngineIterator;
  readonly #hashing: EngineIterator;
  readonly #counting: EngineIterator;
  readonly #removing: EngineIterator;
  readonly #finishedRevision: number;
  readonly #isCompaction: boolean;
  #pass: 'marking' | 'counting' | 'removing' | 'hashing' = 'marking';
  /** Superseded rows that an unfinished compaction has removed, once they are counted. */
  #removed = 0;
  /** Live keys at the revision, counted so far. */
  #live = 0;
  #hash = crc32c(0, BUCKET);

  /** The revision must not be in the future or below the compacted revision. */
  constructor({ engine, revision, compactRevision, finishedRevision, isCompaction }: HashScope) {
    this.#isCompaction = isCompaction === true;
    this.#revision = revision;
    this.#compactRevision = compactRevision;
    this.#finishedRevision = Math.max(finishedRevision, 0);
    const from = encodeRevision(this.#finishedRevision, 0);
    // As in etcd, there is nothing before a negative revision.
    const lt = encodeRevision(Math.max(revision + 1, 0), 0);
    this.#marking = engine.iterate('event', { gte: from, lt });
    this.#counting = engine.iterate('event', { gte: EMPTY, lt: from, keysOnly: true });
    this.#removing = engine.iterate('event', {
      gte: EMPTY,
      lt: encodeRevision(Math.max(compactRevision + 1, 0), 0),
      keysOnly: true,
    });
    this.#hashing = engine.iterate('event', { gte: EMPTY, lt });
  }

  /** Reads up to `count` rows. True at the end. */
  step(count: number): boolean {
    switch (this.#pass) {
      case 'marking':
        this.#markRows(this.#marking.next(count));
        return false;
      case 'counting':
        this.#countRows(this.#counting.next(count));
        return false;
      case 'removing':
        this.#countRemoved(this.#removing.next(count));
        return false;
      case 'hashing':
        return this.#hashRows(this.#hashing.next(count));
    }
  }

  cancel(): void {
    this.#marking.close();
    this.#counting.close();
    this.#removing.close();
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
        this.#removed += 1;
      }
      // Rows that the finished compaction left at its own revision are live keys. Later rows add or remove a key.
      const { main } = eventRevision(key);
      if (main === this.#finishedRevision) {
        this.#live += isDelete ? 0 : 1;
        // The finished compaction has removed what it superseded.
        if (previous !== undefined) this.#removed -= 1;
      } else if (isDelete) this.#live -= this.#isCompaction && main === this.#revision ? 0 : 1;
      else if (previous === undefined) this.#live += 1;
    }
    if (rows.length === 0) this.#pass = this.#live > 0 ? 'hashing' : 'counting';
  }

  /** Below the finished compaction each remaining row is a live key. It is enough to find one. */
  #countRows(rows: Buffer[]): void {
    this.#live += rows.length / 2;
    if (rows.length > 0 && this.#live <= 0) return;
    this.#pass = this.#live > 0 || this.#isCompaction ? 'hashing' : 'removing';
    if (this.#pass === 'hashing') this.#clearIfNoneLives();
  }

  /**
   * An unfinished compaction has removed some of the superseded rows. Each was subtracted from the live keys without
   * having been added, so those that are missing here are added again.
   */
  #countRemoved(rows: Buffer[]): void {
    for (let at = 0; at + 1 < rows.length; at += 2) {
      const key = rows[at];
      if (key === undefined) continue;
      const { main, sub } = eventRevision(key);
      if (this.#superseded.has(`${main}/${sub}`)) this.#removed -= 1;
    }
    if (rows.length > 0) return;
    this.#live += this.#removed;
    this.#clearIfNoneLives();
    this.#pass = 'hashing';
  }

  /** As in etcd: if no key is live at the revision, no row counts as unreachable. */
  #clearIfNoneLives(): void {
    if (this.#live <= 0) this.#superseded.clear();
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
