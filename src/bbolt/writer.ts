/**
 * Writes a bbolt database as a stream. It needs memory for one chunk and for one node per tree level.
 *
 * The meta pages at the start of the file have the root page and the number of pages, and the sender of a file needs
 * its size first. So the contents are read twice: `measureDatabase` lays out the pages, and `databaseChunks` writes
 * them. Both must get the same contents, from one view that does not change.
 */
import { assert } from '../lib/assert.ts';
import { DEFAULT_PAGE_BYTES, PAGE_HEADER_BYTES, PageFlag, writeMeta, writePageHeader } from './format.ts';
import type { Node } from './node.ts';
import { type NodeSink, TreeBuilder } from './tree-builder.ts';

/** One element of a bucket: a value, or a nested bucket. */
export type Element =
  | { readonly key: Buffer; readonly value: Buffer }
  | { readonly key: Buffer; readonly bucket: BucketContents };

export interface BucketContents {
  readonly sequence?: bigint;
  /** In ascending byte order of keys, without duplicates. The buffers must not change afterwards. */
  elements(): Iterable<Element>;
}

export interface DatabaseLayout {
  readonly pageSize: number;
  readonly root: number;
  readonly highWater: number;
  readonly totalBytes: number;
}

const FREELIST_PAGE = 2;
const FIRST_PAGE = 3;

function pagesOf(node: Node, pageSize: number): number {
  return Math.ceil(node.size / pageSize);
}

class CountingSink implements NodeSink {
  readonly #pageSize: number;
  next = FIRST_PAGE;

  constructor(pageSize: number) {
    this.#pageSize = pageSize;
  }

  take(node: Node): number {
    const id = this.next;
    this.next += pagesOf(node, this.#pageSize);
    return id;
  }
}

/** Encodes nodes into chunks, which the writer takes when it runs. */
class WritingSink implements NodeSink {
  readonly #pageSize: number;
  readonly #chunkBytes: number;
  readonly #full: Buffer[] = [];
  #chunk: Buffer;
  #used = 0;
  next = FIRST_PAGE;

  constructor(pageSize: number, chunkBytes: number) {
    this.#pageSize = pageSize;
    this.#chunkBytes = chunkBytes;
    this.#chunk = Buffer.allocUnsafeSlow(chunkBytes);
  }

  take(node: Node): number {
    const id = this.next;
    const pages = pagesOf(node, this.#pageSize);
    const at = this.reserve(pages * this.#pageSize);
    node.write(this.#chunk, at, { id, overflow: pages - 1 });
    this.#chunk.fill(0, at + node.size, this.#used);
    this.next += pages;
    return id;
  }

  reserve(bytes: number): number {
    if (this.#used + bytes > this.#chunk.length) {
      if (this.#used > 0) this.#full.push(this.#chunk.subarray(0, this.#used));
      this.#chunk = Buffer.allocUnsafeSlow(Math.max(bytes, this.#chunkBytes));
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += bytes;
    return at;
  }

  writeHead({ pageSize, root, highWater }: DatabaseLayout): void {
    const at = this.reserve(FIRST_PAGE * pageSize);
    const chunk = this.#chunk;
    chunk.fill(0, at, at + FIRST_PAGE * pageSize);
    for (const id of [0, 1]) {
      const page = at + id * pageSize;
      writePageHeader(chunk, page, { id, flags: PageFlag.meta, count: 0, overflow: 0 });
      const txid = id === 0 ? 2n : 1n;
      writeMeta(chunk, page + PAGE_HEADER_BYTES, {
        pageSize,
        root,
        highWater,
        txid,
        sequence: 0n,
        freelist: FREELIST_PAGE,
      });
    }
    const freelist = { id: FREELIST_PAGE, flags: PageFlag.freelist, count: 0, overflow: 0 };
    writePageHeader(chunk, at + FREELIST_PAGE * pageSize, freelist);
  }

  *drain(): Generator<Buffer> {
    yield* this.#full.splice(0);
  }

  *rest(): Generator<Buffer> {
    yield* this.drain();
    if (this.#used > 0) yield this.#chunk.subarray(0, this.#used);
    this.#used = 0;
  }

  get hasChunks(): boolean {
    return this.#full.length > 0;
  }
}

/** Fills a tree and yields after each element, so that full chunks can be sent. */
function* buildTree(
  contents: BucketContents,
  pageSize: number,
  sink: NodeSink,
): Generator<void, TreeBuilder> {
  const tree = new TreeBuilder(pageSize, sink);
  for (const element of contents.elements()) {
    if ('bucket' in element) {
      const inner: TreeBuilder = yield* buildTree(element.bucket, pageSize, sink);
      tree.add(element.key, inner.finishBucket(element.bucket.sequence ?? 0n), true);
    } else tree.add(element.key, element.value, false);
    yield;
  }
  return tree;
}

/** The first pass: the positions of the pages. `root` has the top-level buckets. */
export function measureDatabase(root: BucketContents, pageSize = DEFAULT_PAGE_BYTES): DatabaseLayout {
  const sink = new CountingSink(pageSize);
  const building = buildTree(root, pageSize, sink);
  let step = building.next();
  while (step.done !== true) step = building.next();
  const rootPage = step.value.finishRoot();
  return { pageSize, root: rootPage, highWater: sink.next, totalBytes: sink.next * pageSize };
}

/**
 * The second pass: the file from its start, in chunks of whole pages with their own memory. Chunks have about
 * `chunkBytes`, or more if one value is longer.
 */
export function* databaseChunks(
  root: BucketContents,
  layout: DatabaseLayout,
  chunkBytes: number,
): Generator<Buffer, void> {
  const { pageSize } = layout;
  const sink = new WritingSink(pageSize, Math.max(chunkBytes, FIRST_PAGE * pageSize));
  sink.writeHead(layout);
  const building = buildTree(root, pageSize, sink);
  let step = building.next();
  for (; step.done !== true; step = building.next()) if (sink.hasChunks) yield* sink.drain();
  const rootPage = step.value.finishRoot();
  assert(
    rootPage === layout.root && sink.next === layout.highWater,
    'both passes over a database see the same contents',
  );
  yield* sink.rest();
}
