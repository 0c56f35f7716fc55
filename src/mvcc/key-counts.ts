import { assert, defined } from '../lib/assert.ts';
import type { Steps } from '../lib/steps.ts';
import type { Engine, EngineIterator, WriteBatch } from '../ports/engine.ts';
import { type KeyRange, keyString } from './key-range.ts';
import { KeyRanks } from './key-ranks.ts';

/** A block with more keys is split; half of that is what a split leaves. It bounds the keys a count has to visit. */
const MAX_BLOCK_KEYS = 256;
const SPLIT_BLOCK_KEYS = MAX_BLOCK_KEYS / 2 + 1;
/** A block is merged into its neighbour when both together hold no more than this. */
const MERGE_BLOCK_KEYS = 64;
/** The others are split after a later batch. */
const SPLITS_PER_BATCH = 4;
/** Blocks read in one step. */
const ROWS_PER_STEP = 1000;

/** More than the prefixes of a Kubernetes cluster have ends. */
const KNOWN_RANKS = 256;
/** The ends of ranges come from clients. Longer ones are not kept in memory. */
const MAX_RANK_KEY_BYTES = 1024;

/** Rows of `meta`: the key is this prefix and the first possible key of a block, the value its number of keys. */
const PREFIX = Buffer.from('fence/');
const PREFIX_END = Buffer.from('fence0');

function rowKey(start: string): Buffer {
  return Buffer.concat([PREFIX, Buffer.from(start, 'latin1')]);
}

function rowValue(count: number): Buffer {
  const value = Buffer.allocUnsafe(4);
  value.writeUInt32BE(count, 0);
  return value;
}

/** Moves on by so many keys. @returns the first of them */
function pass(rows: EngineIterator, count: number): Buffer {
  let first: Buffer | undefined;
  for (let left = count; left > 0;) {
    const found = rows.next(left);
    assert(found.length > 0, 'the count of a block matches its keys');
    first ??= found[0];
    left -= found.length / 2;
  }
  return defined(first, 'there is a key to pass');
}

/**
 * The number of live keys in each block of adjacent keys. The exact count of a range is then the sum over its whole
 * blocks, and a scan of the blocks at both ends. For the ends of ranges that were counted before, the number of keys
 * before them is known.
 *
 * Changed counts are written in the same batch as the keys. So counts and keys always agree on disk, and a restart
 * reads only the counts.
 */
export class KeyCounts {
  readonly #engine: Engine;
  /** First possible key of each block, ascending; the first one is the empty key. */
  readonly #starts: string[];
  readonly #counts: number[];
  readonly #dirty = new Set<string>();
  readonly #removed = new Set<string>();
  readonly #oversized = new Set<string>();
  readonly #ranks = new KeyRanks(KNOWN_RANKS);
  #total = 0;

  private constructor(engine: Engine) {
    this.#engine = engine;
    this.#starts = [];
    this.#counts = [];
  }

  /** Reads the counts of an engine. */
  static *load(engine: Engine): Steps<KeyCounts> {
    const counts = new KeyCounts(engine);
    const rows = engine.iterate('meta', { gte: PREFIX, lt: PREFIX_END });
    try {
      for (let chunk = rows.next(ROWS_PER_STEP); chunk.length > 0; chunk = rows.next(ROWS_PER_STEP)) {
        for (let at = 0; at < chunk.length; at += 2) counts.#add(chunk[at], chunk[at + 1]);
        yield;
      }
    } finally {
      rows.close();
    }
    if (counts.#starts.length === 0) {
      counts.#starts.push('');
      counts.#counts.push(0);
    }
    assert(counts.#starts[0] === '', 'the first block starts at the empty key');
    return counts;
  }

  #add(key: Buffer | undefined, value: Buffer | undefined): void {
    assert(key !== undefined && value?.length === 4, 'a row of key counts holds a 32-bit count');
    const count = value.readUInt32BE(0);
    this.#starts.push(key.toString('latin1', PREFIX.length));
    this.#counts.push(count);
    this.#total += count;
  }

  /** All live keys. */
  get total(): number {
    return this.#total;
  }

  /** Index of the block that holds `key`. */
  #blockOf(key: string): number {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#starts[middle] ?? '') <= key) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Records that `key` was created (1) or deleted (-1) in the batch that is staged next. */
  change(key: string, delta: 1 | -1): void {
    const block = this.#blockOf(key);
    const count = (this.#counts[block] ?? 0) + delta;
    assert(count >= 0, 'the number of keys in a block is not negative');
    this.#counts[block] = count;
    this.#total += delta;
    this.#ranks.change(key, delta);
    const start = this.#starts[block] ?? '';
    this.#dirty.add(start);
    if (count > MAX_BLOCK_KEYS) this.#oversized.add(start);
    else if (delta < 0 && count < MERGE_BLOCK_KEYS && block > 0) this.#mergeLeft(block);
  }

  #mergeLeft(block: number): void {
    const left = this.#counts[block - 1] ?? 0;
    const right = this.#counts[block] ?? 0;
    if (left + right > MERGE_BLOCK_KEYS) return;
    const start = this.#starts[block] ?? '';
    this.#counts[block - 1] = left + right;
    this.#starts.splice(block, 1);
    this.#counts.splice(block, 1);
    this.#dirty.delete(start);
    this.#oversized.delete(start);
    this.#removed.add(start);
    this.#dirty.add(this.#starts[block - 1] ?? '');
  }

  /** Writes what changed into the batch that also writes the keys. */
  stage(batch: WriteBatch): void {
    for (const start of this.#removed) batch.del('meta', rowKey(start));
    for (const start of this.#dirty) {
      const block = this.#blockOf(start);
      if (this.#starts[block] === start) batch.put('meta', rowKey(start), rowValue(this.#counts[block] ?? 0));
    }
    this.#removed.clear();
    this.#dirty.clear();
  }

  /**
   * Splits blocks that grew too large. Called when everything staged is in the engine. The new counts are written with
   * the next batch. Until then those on disk are coarser, and still correct.
   */
  settle(): void {
    let split = 0;
    for (const start of this.#oversized) {
      if (split === SPLITS_PER_BATCH) return;
      this.#oversized.delete(start);
      const block = this.#blockOf(start);
      if (this.#starts[block] !== start || (this.#counts[block] ?? 0) <= MAX_BLOCK_KEYS) continue;
      this.#split(block);
      split += 1;
    }
  }

  #split(block: number): void {
    const count = this.#counts[block] ?? 0;
    const rows = this.#engine.iterate('latest', {
      gte: Buffer.from(this.#starts[block] ?? '', 'latin1'),
      lt: this.#endOf(block),
      keysOnly: true,
    });
    pass(rows, SPLIT_BLOCK_KEYS);
    let left = count - SPLIT_BLOCK_KEYS;
    this.#counts[block] = SPLIT_BLOCK_KEYS;
    // The keys of the last block are not read, except its first one: their number is known.
    for (let at = block + 1; left > 0; at += 1) {
      const start = keyString(pass(rows, 1));
      const keys = Math.min(left, SPLIT_BLOCK_KEYS);
      this.#starts.splice(at, 0, start);
      this.#counts.splice(at, 0, keys);
      this.#dirty.add(start);
      this.#removed.delete(start);
      left -= keys;
      if (left > 0) pass(rows, keys - 1);
    }
    rows.close();
    this.#dirty.add(this.#starts[block] ?? '');
  }

  #endOf(block: number): Buffer | undefined {
    const next = this.#starts[block + 1];
    return next === undefined ? undefined : Buffer.from(next, 'latin1');
  }

  /** Exact number of live keys of the engine in the range. */
  count(range: KeyRange): number {
    if (range.single) return this.#engine.get('latest', range.start) === undefined ? 0 : 1;
    const start = keyString(range.start);
    if (range.end === undefined) return this.#total - this.#rank(start, range.start);
    const end = keyString(range.end);
    if (end <= start) return 0;
    const block = this.#blockOf(start);
    // Both ends in one block: the keys between them are fewer than those before each.
    if (block === this.#blockOf(end))
      return this.#counts[block] === 0 ? 0 : this.#visit(range.start, range.end);
    return this.#rank(end, range.end) - this.#rank(start, range.start);
  }

  /** The number of keys before `key`, whose bytes are `bytes`. */
  #rank(key: string, bytes: Buffer): number {
    const known = this.#ranks.get(key);
    if (known !== undefined) return known;
    const block = this.#blockOf(key);
    let rank = 0;
    for (let before = 0; before < block; before += 1) rank += this.#counts[before] ?? 0;
    const start = this.#starts[block] ?? '';
    if (start !== key && this.#counts[block] !== 0) rank += this.#visit(Buffer.from(start, 'latin1'), bytes);
    if (key.length <= MAX_RANK_KEY_BYTES) this.#ranks.add(key, rank);
    return rank;
  }

  #visit(gte: Buffer, lt: Buffer): number {
    const rows = this.#engine.iterate('latest', { gte, lt, keysOnly: true });
    let keys = 0;
    for (let chunk = rows.next(MAX_BLOCK_KEYS); chunk.length > 0; chunk = rows.next(MAX_BLOCK_KEYS)) {
      keys += chunk.length / 2;
    }
    rows.close();
    return keys;
  }
}
