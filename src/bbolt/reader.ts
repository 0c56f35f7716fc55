import {
  BUCKET_ELEMENT,
  BUCKET_HEADER_BYTES,
  ELEMENT_BYTES,
  MAX_PAGE_BYTES,
  META_BYTES,
  type Meta,
  MIN_PAGE_BYTES,
  PAGE_HEADER_BYTES,
  PageFlag,
  readMeta,
  readPageHeader,
  readPageId,
} from './format.ts';
import { BoltFormatError } from './errors.ts';

/** Random access to a file's bytes. */
export interface ByteSource {
  readonly size: number;
  /** Exactly `length` bytes from `position` on. They are within the file; the buffer belongs to the caller. */
  read(position: number, length: number): Buffer;
}

export interface BoltElement {
  readonly key: Buffer;
  /** For a bucket, its header, and its page if it is inline. */
  readonly value: Buffer;
  readonly isBucket: boolean;
}

/** A longer run of pages means a damaged length: no key with its value is that large. */
const MAX_NODE_BYTES = 2 ** 31;
/** How deep buckets may be nested. etcd does not nest them. */
const MAX_BUCKET_DEPTH = 32;
/**
 * How deep a tree may be. Even with two children per branch, a deeper one would need more pages than a file can have.
 */
const MAX_TREE_DEPTH = 64;

/** A page with its overflow pages. Bounds are checked for each element when it is read. */
class Page {
  readonly name: string;
  readonly count: number;
  readonly isLeaf: boolean;
  readonly #bytes: Buffer;

  constructor(name: string, bytes: Buffer) {
    const { flags, count } = readPageHeader(bytes, 0);
    this.name = name;
    this.#bytes = bytes;
    this.count = count;
    this.isLeaf = flags === PageFlag.leaf;
    if (!this.isLeaf && flags !== PageFlag.branch)
      throw new BoltFormatError(`${name} is neither leaf nor branch: flags 0x${flags.toString(16)}`);
    if (PAGE_HEADER_BYTES + count * ELEMENT_BYTES > bytes.length)
      throw new BoltFormatError(`${name} is too short for its ${count} elements`);
  }

  #slice(n: number, from: number, length: number): Buffer {
    if (from + length > this.#bytes.length)
      throw new BoltFormatError(`${this.name}: element ${n} lies beyond the page's end`);
    return this.#bytes.subarray(from, from + length);
  }

  leafElement(n: number): BoltElement {
    const bytes = this.#bytes;
    const at = PAGE_HEADER_BYTES + n * ELEMENT_BYTES;
    const from = at + bytes.readUInt32LE(at + 4);
    const keyBytes = bytes.readUInt32LE(at + 8);
    return {
      key: this.#slice(n, from, keyBytes),
      value: this.#slice(n, from + keyBytes, bytes.readUInt32LE(at + 12)),
      isBucket: (bytes.readUInt32LE(at) & BUCKET_ELEMENT) !== 0,
    };
  }

  branchKey(n: number): Buffer {
    const at = PAGE_HEADER_BYTES + n * ELEMENT_BYTES;
    return this.#slice(n, at + this.#bytes.readUInt32LE(at), this.#bytes.readUInt32LE(at + 4));
  }

  branchChild(n: number): number {
    return readPageId(this.#bytes, PAGE_HEADER_BYTES + n * ELEMENT_BYTES + 8);
  }
}

/** The keys that a subtree may have: at least `from`, and below `to`. */
interface KeyBounds {
  readonly from: Buffer | undefined;
  readonly to: Buffer | undefined;
}

const anyKey: KeyBounds = { from: undefined, to: undefined };

/** The pages visited in one walk, one bit per page. */
class PageSet {
  readonly #bits: Uint8Array;

  constructor(pages: number) {
    this.#bits = new Uint8Array(Math.ceil(pages / 8));
  }

  /** @returns false if the page was already in the set */
  add(page: number): boolean {
    const bit = 1 << (page & 7);
    const byte = this.#bits[page >>> 3] ?? 0;
    this.#bits[page >>> 3] = byte | bit;
    return (byte & bit) === 0;
  }
}

/** One bucket of an open database. */
export class BucketReader {
  readonly sequence: bigint;
  readonly #database: BoltReader;
  readonly #root: number;
  readonly #inline: Page | undefined;
  readonly #depth: number;

  constructor(
    database: BoltReader,
    place: { readonly root: number; readonly sequence: bigint; readonly inline: Page | undefined },
    depth: number,
  ) {
    if (depth > MAX_BUCKET_DEPTH)
      throw new BoltFormatError(`buckets lie more than ${MAX_BUCKET_DEPTH} deep in each other`);
    this.sequence = place.sequence;
    this.#database = database;
    this.#root = place.root;
    this.#inline = place.inline;
    this.#depth = depth;
  }

  /**
   * All elements in key order, page by page. Buffers are views of a page's bytes, which later reads do not reuse.
   *
   * @throws BoltFormatError at the first page that is damaged, out of order or visited twice
   */
  *elements(): Generator<BoltElement, void> {
    if (this.#inline !== undefined) yield* leafElements(this.#inline, anyKey);
    else yield* this.#walk(this.#root, anyKey, 0, new PageSet(this.#database.meta.highWater));
  }

  *#walk(id: number, bounds: KeyBounds, depth: number, seen: PageSet): Generator<BoltElement, void> {
    const page = this.#database.page(id);
    if (!seen.add(id)) throw new BoltFormatError(`${page.name} is met twice in one tree`);
    if (depth > MAX_TREE_DEPTH) throw new BoltFormatError(`${page.name} lies ${depth} levels deep`);
    if (page.count === 0 && !(depth === 0 && page.isLeaf)) throw new BoltFormatError(`${page.name} is empty`);
    if (page.isLeaf) return yield* leafElements(page, bounds);
    let from = page.branchKey(0);
    checkOrder(page, 0, from, bounds);
    for (let n = 0; n < page.count; n += 1) {
      const to = n + 1 < page.count ? page.branchKey(n + 1) : bounds.to;
      if (n + 1 < page.count) checkOrder(page, n + 1, to ?? from, { from, to: bounds.to }, true);
      yield* this.#walk(page.branchChild(n), { from, to }, depth + 1, seen);
      from = to ?? from;
    }
  }

  /**
   * The element with the greatest key; undefined if the bucket is empty. Reads one page per level.
   *
   * @throws BoltFormatError if one of these pages is damaged
   */
  last(): BoltElement | undefined {
    let page = this.#inline ?? this.#database.page(this.#root);
    for (let depth = 0; !page.isLeaf; depth += 1) {
      if (page.count === 0) throw new BoltFormatError(`${page.name} is empty`);
      if (depth > MAX_TREE_DEPTH) throw new BoltFormatError(`${page.name} lies ${depth} levels deep`);
      page = this.#database.page(page.branchChild(page.count - 1));
    }
    return page.count === 0 ? undefined : page.leafElement(page.count - 1);
  }

  /** A bucket in this one; undefined if there is none with this name. */
  bucket(name: Buffer | string): BucketReader | undefined {
    const wanted = Buffer.from(name);
    for (const { key, value, isBucket } of this.elements()) {
      const order = Buffer.compare(key, wanted);
      if (order > 0) return undefined;
      if (order === 0) return isBucket ? this.open(key, value) : undefined;
    }
    return undefined;
  }

  /** The bucket of an element of this one that is a bucket. */
  open(name: Buffer, value: Buffer): BucketReader {
    const what = `bucket ${JSON.stringify(name.toString())}`;
    if (value.length < BUCKET_HEADER_BYTES) throw new BoltFormatError(`${what} has no header`);
    const root = readPageId(value, 0);
    let inline: Page | undefined;
    if (root === 0) {
      if (value.length < BUCKET_HEADER_BYTES + PAGE_HEADER_BYTES)
        throw new BoltFormatError(`${what} is inline but has no page`);
      inline = new Page(`the page within ${what}`, value.subarray(BUCKET_HEADER_BYTES));
      if (!inline.isLeaf) throw new BoltFormatError(`${inline.name} is no leaf`);
    }
    const sequence = value.readBigUInt64LE(8);
    return new BucketReader(this.#database, { root, sequence, inline }, this.#depth + 1);
  }
}

function* leafElements(page: Page, bounds: KeyBounds): Generator<BoltElement, void> {
  let from = bounds.from;
  for (let n = 0; n < page.count; n += 1) {
    const element = page.leafElement(n);
    checkOrder(page, n, element.key, { from, to: bounds.to }, n > 0);
    from = element.key;
    yield element;
  }
}

function checkOrder(page: Page, n: number, key: Buffer, bounds: KeyBounds, mustExceed = false): void {
  if (key.length === 0) throw new BoltFormatError(`${page.name}: element ${n} has an empty key`);
  const { from, to } = bounds;
  const order = from === undefined ? 1 : Buffer.compare(key, from);
  if (order < 0 || (mustExceed && order === 0) || (to !== undefined && Buffer.compare(key, to) >= 0))
    throw new BoltFormatError(`${page.name}: the key of element ${n} is out of order`);
}

/** A bbolt database that is not written to meanwhile. */
export class BoltReader {
  readonly meta: Meta;
  readonly root: BucketReader;
  readonly #source: ByteSource;

  private constructor(source: ByteSource, meta: Meta) {
    this.#source = source;
    this.meta = meta;
    this.root = new BucketReader(this, { root: meta.root, sequence: meta.sequence, inline: undefined }, 0);
  }

  /** @throws BoltFormatError if both meta pages are damaged, or the file ends before its last page */
  static open(source: ByteSource): BoltReader {
    const first = metaAt(source, 0);
    const second = typeof first === 'string' ? findSecondMeta(source) : metaAt(source, first.pageSize);
    const meta = newer(first, second);
    if (typeof meta === 'string') throw new BoltFormatError(`page 0 ${meta}, and page 1 is no better`);
    const needed = meta.highWater * meta.pageSize;
    if (needed > source.size)
      throw new BoltFormatError(`the file is cut off: it has ${source.size} of ${needed} bytes`);
    return new BoltReader(source, meta);
  }

  /** For `BucketReader`: a page of a tree with its overflow pages. */
  page(id: number): Page {
    const { pageSize, highWater } = this.meta;
    if (id < 2 || id >= highWater)
      throw new BoltFormatError(`page ${id} lies outside the ${highWater} pages`);
    const name = `page ${id}`;
    const first = this.#source.read(id * pageSize, pageSize);
    const header = readPageHeader(first, 0);
    if (header.id !== id) throw new BoltFormatError(`${name} says that it is page ${header.id}`);
    if (header.overflow === 0) return new Page(name, first);
    const bytes = (header.overflow + 1) * pageSize;
    if (id + header.overflow >= highWater || bytes > MAX_NODE_BYTES)
      throw new BoltFormatError(`${name} claims ${header.overflow} further pages`);
    return new Page(name, this.#source.read(id * pageSize, bytes));
  }
}

function metaAt(source: ByteSource, position: number): Meta | string {
  if (position + PAGE_HEADER_BYTES + META_BYTES > source.size) return 'is cut off';
  const bytes = source.read(position, PAGE_HEADER_BYTES + META_BYTES);
  return readMeta(bytes.subarray(PAGE_HEADER_BYTES));
}

/** If the first meta page does not give the page size, the second one is searched. */
function findSecondMeta(source: ByteSource): Meta | string {
  for (let pageSize = MIN_PAGE_BYTES; pageSize <= MAX_PAGE_BYTES; pageSize *= 2) {
    const meta = metaAt(source, pageSize);
    if (typeof meta !== 'string' && meta.pageSize === pageSize) return meta;
  }
  return 'is not found';
}

function newer(first: Meta | string, second: Meta | string): Meta | string {
  if (typeof first === 'string') return typeof second === 'string' ? first : second;
  if (typeof second === 'string') return first;
  return second.txid > first.txid ? second : first;
}
