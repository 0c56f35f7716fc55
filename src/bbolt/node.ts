import {
  BUCKET_ELEMENT,
  BUCKET_HEADER_BYTES,
  ELEMENT_BYTES,
  PAGE_HEADER_BYTES,
  PageFlag,
  writePageHeader,
} from './format.ts';

/** The elements of a leaf page to be written, in key order. */
export class LeafNode {
  readonly keys: Buffer[] = [];
  readonly values: Buffer[] = [];
  readonly isBucket: boolean[] = [];
  /** The size with header and elements, before padding to whole pages. */
  size = PAGE_HEADER_BYTES;
  largestElement = 0;

  static elementSize(key: Buffer, value: Buffer): number {
    return ELEMENT_BYTES + key.length + value.length;
  }

  get count(): number {
    return this.keys.length;
  }

  push(key: Buffer, value: Buffer, isBucket: boolean): void {
    const size = LeafNode.elementSize(key, value);
    this.keys.push(key);
    this.values.push(value);
    this.isBucket.push(isBucket);
    this.size += size;
    if (size > this.largestElement) this.largestElement = size;
  }

  clear(): void {
    this.keys.length = 0;
    this.values.length = 0;
    this.isBucket.length = 0;
    this.size = PAGE_HEADER_BYTES;
    this.largestElement = 0;
  }

  /** Writes `size` bytes at `at`. */
  write(target: Buffer, at: number, place: { readonly id: number; readonly overflow: number }): void {
    const { keys, values } = this;
    writePageHeader(target, at, { ...place, flags: PageFlag.leaf, count: keys.length });
    let element = at + PAGE_HEADER_BYTES;
    let data = element + ELEMENT_BYTES * keys.length;
    for (let n = 0; n < keys.length; n += 1) {
      const key = keys[n] as Buffer;
      const value = values[n] as Buffer;
      target.writeUInt32LE(this.isBucket[n] === true ? BUCKET_ELEMENT : 0, element);
      target.writeUInt32LE(data - element, element + 4);
      target.writeUInt32LE(key.length, element + 8);
      target.writeUInt32LE(value.length, element + 12);
      target.set(key, data);
      target.set(value, data + key.length);
      data += key.length + value.length;
      element += ELEMENT_BYTES;
    }
  }
}

/** The elements of a branch page to be written: the first key of each child, and its page. */
export class BranchNode {
  static readonly headerBytes = PAGE_HEADER_BYTES;
  readonly keys: Buffer[];
  readonly children: number[];
  readonly size: number;

  constructor(keys: Buffer[], children: number[]) {
    this.keys = keys;
    this.children = children;
    this.size = keys.reduce((size, key) => size + BranchNode.elementSize(key), PAGE_HEADER_BYTES);
  }

  static elementSize(key: Buffer): number {
    return ELEMENT_BYTES + key.length;
  }

  write(target: Buffer, at: number, place: { readonly id: number; readonly overflow: number }): void {
    const { keys, children } = this;
    writePageHeader(target, at, { ...place, flags: PageFlag.branch, count: keys.length });
    let element = at + PAGE_HEADER_BYTES;
    let data = element + ELEMENT_BYTES * keys.length;
    for (let n = 0; n < keys.length; n += 1) {
      const key = keys[n] as Buffer;
      target.writeUInt32LE(data - element, element);
      target.writeUInt32LE(key.length, element + 4);
      target.writeBigUInt64LE(BigInt(children[n] as number), element + 8);
      target.set(key, data);
      data += key.length;
      element += ELEMENT_BYTES;
    }
  }
}

export type Node = LeafNode | BranchNode;

/** The value of a bucket's element in its parent: the number of its root page. */
export function bucketValue(root: number, sequence: bigint): Buffer {
  const value = Buffer.alloc(BUCKET_HEADER_BYTES);
  value.writeBigUInt64LE(BigInt(root), 0);
  value.writeBigUInt64LE(sequence, 8);
  return value;
}

/** The value of a small bucket's element: its only leaf page follows the header. */
export function inlineBucketValue(leaf: LeafNode, sequence: bigint): Buffer {
  const value = Buffer.alloc(BUCKET_HEADER_BYTES + leaf.size);
  value.writeBigUInt64LE(sequence, 8);
  leaf.write(value, BUCKET_HEADER_BYTES, { id: 0, overflow: 0 });
  return value;
}
