import { MAX_KEY_BYTES, MAX_VALUE_BYTES } from './format.ts';
import { BranchNode, LeafNode, type Node, bucketValue, inlineBucketValue } from './node.ts';

/** Receives nodes in the order of their pages in the file. */
export interface NodeSink {
  /** @returns the number of the node's first page */
  take(node: Node): number;
}

/** Nodes with large elements may have this many pages, so that less of the last page is unused. */
const MAX_LARGE_LEAF_PAGES = 4;
/** A branch has at least two children. bbolt needs this when it merges pages. */
const MIN_CHILDREN = 2;

interface Level {
  keys: Buffer[];
  children: number[];
  bytes: number;
  hasWritten: boolean;
}

/**
 * Builds the tree of one bucket from the bottom, from elements in key order. A full node goes to the sink at once,
 * children before their parents. So at most one node per level is in memory.
 */
export class TreeBuilder {
  readonly #pageSize: number;
  readonly #sink: NodeSink;
  readonly #leaf = new LeafNode();
  readonly #levels: Level[] = [];
  #hasBuckets = false;
  #last: Buffer | undefined;

  constructor(pageSize: number, sink: NodeSink) {
    this.#pageSize = pageSize;
    this.#sink = sink;
  }

  /**
   * Appends an element. Key and value must stay unchanged until the tree is finished.
   *
   * @throws RangeError for a key that does not come after the one before it, and for sizes that bbolt does not support
   */
  add(key: Buffer, value: Buffer, isBucket: boolean): void {
    if (key.length === 0 || key.length > MAX_KEY_BYTES)
      throw new RangeError(`a bbolt key has 1 to ${MAX_KEY_BYTES} bytes, not ${key.length}`);
    if (value.length > MAX_VALUE_BYTES)
      throw new RangeError(`a bbolt value has at most ${MAX_VALUE_BYTES} bytes, not ${value.length}`);
    if (this.#last !== undefined && Buffer.compare(this.#last, key) >= 0)
      throw new RangeError(`key ${key.toString('hex')} follows ${this.#last.toString('hex')}`);
    this.#last = key;
    const leaf = this.#leaf;
    const size = LeafNode.elementSize(key, value);
    if (leaf.count > 0 && leaf.size + size > this.#limit(Math.max(size, leaf.largestElement)))
      this.#writeLeaf();
    leaf.push(key, value, isBucket);
    if (isBucket) this.#hasBuckets = true;
  }

  #limit(largestElement: number): number {
    return largestElement > this.#pageSize >>> 2 ? MAX_LARGE_LEAF_PAGES * this.#pageSize : this.#pageSize;
  }

  /** @returns the value of this bucket in its parent bucket */
  finishBucket(sequence: bigint): Buffer {
    const isSmall = this.#levels.length === 0 && this.#leaf.size <= this.#pageSize >>> 2;
    return isSmall && !this.#hasBuckets
      ? inlineBucketValue(this.#leaf, sequence)
      : bucketValue(this.finishRoot(), sequence);
  }

  /** @returns the page of the tree's root */
  finishRoot(): number {
    if (this.#levels.length === 0) return this.#sink.take(this.#leaf);
    if (this.#leaf.count > 0) this.#writeLeaf();
    for (let at = 0; ; at += 1) {
      const level = this.#level(at);
      const [onlyChild] = level.children;
      if (!level.hasWritten && level.children.length === 1 && onlyChild !== undefined) return onlyChild;
      this.#writeBranch(at, level.children.length);
    }
  }

  #writeLeaf(): void {
    const leaf = this.#leaf;
    const firstKey = leaf.keys[0] as Buffer;
    this.#addChild(0, firstKey, this.#sink.take(leaf));
    leaf.clear();
  }

  #level(at: number): Level {
    return (this.#levels[at] ??= { keys: [], children: [], bytes: 0, hasWritten: false });
  }

  #addChild(at: number, key: Buffer, child: number): void {
    const level = this.#level(at);
    level.keys.push(key);
    level.children.push(child);
    level.bytes += BranchNode.elementSize(key);
    const writable = level.children.length - MIN_CHILDREN;
    if (writable >= MIN_CHILDREN && BranchNode.headerBytes + level.bytes > this.#pageSize)
      this.#writeBranch(at, writable);
  }

  /** Writes the first `count` children as one branch. The rest is enough for another branch. */
  #writeBranch(at: number, count: number): void {
    const level = this.#level(at);
    const branch = new BranchNode(level.keys.splice(0, count), level.children.splice(0, count));
    level.bytes -= branch.size - BranchNode.headerBytes;
    level.hasWritten = true;
    this.#addChild(at + 1, branch.keys[0] as Buffer, this.#sink.take(branch));
  }
}
