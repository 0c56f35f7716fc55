import { assert } from '../lib/assert.ts';
import { ShardedMap } from '../lib/sharded-map.ts';
import { fieldHead } from '../wire/splice.ts';
import { varintSize, writeVarint } from '../wire/varint.ts';
import type { IndexMeta } from './index-meta.ts';

/** Values are kept side by side in pieces of memory of this size. */
const SLAB_BYTES = 256 * 1024;
/** A larger value is not kept. */
const MAX_VALUE_BYTES = 128 * 1024;
/** A store smaller than the bound keeps its live values, and at most as many bytes of replaced ones again. */
const STORE_MULTIPLE = 2;
const LEAST_BYTES = 4 * 1024 * 1024;
/** Estimated heap bytes of an entry beyond the value. */
const ENTRY_OVERHEAD = 120;
/** The field `kvs` of a RangeResponse, and its tag: length-delimited. */
export const KVS = 2;
const KVS_TAG = (KVS << 3) | 2;
/** Transactions of more changes, and revisions beyond 2^41, are not kept. */
const MAX_SUBS = 4096;
const MAX_MAIN = 2 ** 41;

interface Slab {
  readonly bytes: Buffer;
  readonly names: number[];
  used: number;
}

interface Entry {
  readonly slab: Slab;
  readonly start: number;
  readonly end: number;
}

/** The encoded KeyValues of revisions, in order. @throws RevisionGoneError */
export type ReadValues = (metas: readonly IndexMeta[]) => Buffer[];

/**
 * Encoded KeyValues by revision, as a list sends them: with the head of their field in front. A revision never
 * changes, so what is kept is never stale.
 *
 * Values read together lie side by side, so that a list which reads the same ones again, in the same order, gets them
 * as few large pieces without copies. Memory of values is never written to again, so that pieces may be kept for as
 * long as a client takes. What was read first goes first, a slab at a time.
 *
 * Replaced values are not looked for: they go with their slabs. So the bound follows the size of the store, or a small
 * store with many writes would fill the cache with values that no list reads any more.
 */
export class ValueCache {
  readonly #maxBytes: number;
  readonly #storeBytes: () => number;
  readonly #entries = new ShardedMap<number, Entry>(mixed);
  /** The oldest first. */
  #slabs: Slab[] = [];
  #bytes = 0;

  /**
   * @param maxBytes bound of all that is kept; 0 keeps nothing
   * @param storeBytes size of the store with its history
   */
  constructor(maxBytes: number, storeBytes: () => number) {
    this.#maxBytes = maxBytes;
    this.#storeBytes = storeBytes;
  }

  /** Bytes kept, with what keeping them costs. */
  get bytes(): number {
    return this.#bytes;
  }

  clear(): void {
    this.#entries.clear();
    this.#slabs = [];
    this.#bytes = 0;
  }

  /** The values of `metas`, in order and with the heads of their fields, in as few pieces as they lie in. */
  read(metas: readonly IndexMeta[], readMissing: ReadValues): Buffer[] {
    const found = new Array<Entry | undefined>(metas.length);
    let missing: IndexMeta[] | undefined;
    for (let at = 0; at < metas.length; at += 1) {
      const meta = metas[at] as IndexMeta;
      const name = meta.kv === undefined ? nameOf(meta) : undefined;
      const entry = name === undefined ? undefined : this.#entries.get(name);
      if (entry === undefined) (missing ??= []).push(meta);
      else found[at] = entry;
    }
    const values = missing === undefined ? [] : readMissing(missing);
    const pieces = new Pieces();
    let taken = 0;
    for (let at = 0; at < metas.length; at += 1) {
      const entry = found[at];
      if (entry !== undefined) {
        pieces.add(entry.slab.bytes, entry.start, entry.end);
        continue;
      }
      const meta = metas[at] as IndexMeta;
      const value = values[taken++];
      assert(value?.length === meta.size, 'the index knows the size of each KeyValue');
      const kept = this.#keep(meta, value);
      if (kept !== undefined) pieces.add(kept.slab.bytes, kept.start, kept.end);
      else pieces.addValue(value);
    }
    return pieces.finish();
  }

  #keep(meta: IndexMeta, value: Buffer): Entry | undefined {
    const size = 1 + varintSize(value.length) + value.length;
    const name = nameOf(meta);
    if (name === undefined || meta.kv !== undefined) return undefined;
    if (value.length > MAX_VALUE_BYTES || this.#maxBytes < SLAB_BYTES) return undefined;
    const slab = this.#slabWithRoom(size);
    const start = slab.used;
    slab.used = writeField(slab.bytes, start, value);
    const entry = { slab, start, end: slab.used };
    slab.names.push(name);
    this.#entries.set(name, entry);
    this.#bytes += ENTRY_OVERHEAD;
    return entry;
  }

  #slabWithRoom(size: number): Slab {
    const last = this.#slabs.at(-1);
    if (last !== undefined && last.used + size <= SLAB_BYTES) return last;
    const bound = Math.min(this.#maxBytes, Math.max(LEAST_BYTES, STORE_MULTIPLE * this.#storeBytes()));
    while (this.#slabs.length > 0 && this.#bytes + SLAB_BYTES > bound) this.#dropOldest();
    const slab = { bytes: Buffer.allocUnsafeSlow(SLAB_BYTES), names: [], used: 0 };
    this.#slabs.push(slab);
    this.#bytes += SLAB_BYTES;
    return slab;
  }

  #dropOldest(): void {
    const oldest = this.#slabs.shift();
    if (oldest === undefined) return;
    for (const name of oldest.names) this.#entries.delete(name);
    this.#bytes -= SLAB_BYTES + oldest.names.length * ENTRY_OVERHEAD;
  }
}

/** Gathers values that lie side by side into one piece. */
class Pieces {
  readonly #pieces: Buffer[] = [];
  #bytes: Buffer | undefined;
  #start = 0;
  #end = 0;

  add(bytes: Buffer, start: number, end: number): void {
    if (bytes === this.#bytes && start === this.#end) {
      this.#end = end;
      return;
    }
    this.#seal();
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
  }

  /** A value that is not kept. */
  addValue(value: Buffer): void {
    this.#seal();
    this.#pieces.push(fieldHead(KVS, value.length), value);
  }

  finish(): Buffer[] {
    this.#seal();
    return this.#pieces;
  }

  #seal(): void {
    if (this.#bytes !== undefined) this.#pieces.push(this.#bytes.subarray(this.#start, this.#end));
    this.#bytes = undefined;
  }
}

/** Encoded KeyValues as fields of a RangeResponse, copied side by side. */
export function joinFields(values: readonly Buffer[]): Buffer {
  let size = 0;
  for (const { length } of values) size += 1 + varintSize(length) + length;
  const joined = Buffer.allocUnsafe(size);
  let at = 0;
  for (const value of values) at = writeField(joined, at, value);
  return joined;
}

function writeField(target: Buffer, start: number, value: Buffer): number {
  target[start] = KVS_TAG;
  const at = writeVarint(target, start + 1, value.length);
  target.set(value, at);
  return at + value.length;
}

/** A number for each revision that can be kept; undefined for others. */
function nameOf({ mod, sub }: IndexMeta): number | undefined {
  return sub < MAX_SUBS && mod < MAX_MAIN ? mod * MAX_SUBS + sub : undefined;
}

/** Neither the revision nor the place in it alone differs between all values. */
function mixed(name: number): number {
  const mod = Math.floor(name / MAX_SUBS);
  return (mod + name) | 0;
}
