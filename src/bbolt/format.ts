/**
 * The on-disk format of bbolt databases, version 2: a file of pages, all numbers little-endian.
 *
 * - Each page begins with its id (8 bytes), flags (2), number of elements (2) and number of further pages that belong
 *   to it (4, `overflow`). A node larger than a page has several consecutive pages.
 * - Pages 0 and 1 are meta pages. The valid one with the larger transaction id is used.
 * - Leaf elements hold flags, position, key size and value size; branch elements position, key size and child page.
 *   Positions count from the element's own first byte.
 * - A bucket is a leaf element flagged as such, whose value is its root page and sequence (16 bytes). With root 0,
 *   the bucket's only leaf page follows within the value.
 */
export const MAGIC = 0xed0cdaed;
export const FORMAT_VERSION = 2;
export const DEFAULT_PAGE_BYTES = 4096;
export const MIN_PAGE_BYTES = 512;
export const MAX_PAGE_BYTES = 1 << 16;

export const PAGE_HEADER_BYTES = 16;
export const ELEMENT_BYTES = 16;
export const BUCKET_HEADER_BYTES = 16;
export const META_BYTES = 64;

export const PageFlag = { branch: 0x01, leaf: 0x02, meta: 0x04, freelist: 0x10 } as const;
export const BUCKET_ELEMENT = 0x01;

/** The longest key, in bytes. */
export const MAX_KEY_BYTES = 32_768;
/** The longest value, in bytes. */
export const MAX_VALUE_BYTES = 2 ** 31 - 2;

/** The page number in the meta page if the free list is not stored. It is then rebuilt by a scan of all pages. */
export const NO_FREELIST = 0xffff_ffff_ffff_ffffn;

export interface Meta {
  readonly pageSize: number;
  /** The page of the root bucket, whose elements are the top-level buckets. */
  readonly root: number;
  readonly sequence: bigint;
  /** The page of the free list; undefined if it is not stored. */
  readonly freelist: number | undefined;
  /** The number after the last page in use. */
  readonly highWater: number;
  readonly txid: bigint;
}

const FNV_OFFSET = 0xcbf2_9ce4_8422_2325n;
const FNV_PRIME = 0x100_0000_01b3n;

/** FNV-1a in its 64-bit form. */
export function fnv64a(bytes: Uint8Array): bigint {
  let hash = FNV_OFFSET;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * FNV_PRIME);
  return hash;
}

const CHECKSUM_OFFSET = META_BYTES - 8;

/** Writes a meta page's contents (without the page header) at `at`. */
export function writeMeta(target: Buffer, at: number, meta: Meta): void {
  target.writeUInt32LE(MAGIC, at);
  target.writeUInt32LE(FORMAT_VERSION, at + 4);
  target.writeUInt32LE(meta.pageSize, at + 8);
  target.writeUInt32LE(0, at + 12);
  target.writeBigUInt64LE(BigInt(meta.root), at + 16);
  target.writeBigUInt64LE(meta.sequence, at + 24);
  target.writeBigUInt64LE(meta.freelist === undefined ? NO_FREELIST : BigInt(meta.freelist), at + 32);
  target.writeBigUInt64LE(BigInt(meta.highWater), at + 40);
  target.writeBigUInt64LE(meta.txid, at + 48);
  target.writeBigUInt64LE(fnv64a(target.subarray(at, at + CHECKSUM_OFFSET)), at + CHECKSUM_OFFSET);
}

/** Reads the contents of a meta page. If the page is not valid, returns the reason as a text. */
export function readMeta(bytes: Buffer): Meta | string {
  if (bytes.readUInt32LE(0) !== MAGIC) return 'is not the beginning of a bbolt database';
  const version = bytes.readUInt32LE(4);
  if (version !== FORMAT_VERSION) return `has format version ${version} instead of ${FORMAT_VERSION}`;
  if (bytes.readBigUInt64LE(CHECKSUM_OFFSET) !== fnv64a(bytes.subarray(0, CHECKSUM_OFFSET)))
    return 'has a wrong checksum';
  const pageSize = bytes.readUInt32LE(8);
  if (!isPageSize(pageSize)) return `has the page size ${pageSize}`;
  const freelist = bytes.readBigUInt64LE(32);
  const highWater = bytes.readBigUInt64LE(40);
  const root = bytes.readBigUInt64LE(16);
  if (highWater > BigInt(Number.MAX_SAFE_INTEGER) || root >= highWater || root < 2n)
    return `has its root bucket at page ${root} of ${highWater}`;
  return {
    pageSize,
    root: Number(root),
    sequence: bytes.readBigUInt64LE(24),
    freelist: freelist === NO_FREELIST ? undefined : Number(freelist),
    highWater: Number(highWater),
    txid: bytes.readBigUInt64LE(48),
  };
}

export function isPageSize(bytes: number): boolean {
  return bytes >= MIN_PAGE_BYTES && bytes <= MAX_PAGE_BYTES && (bytes & (bytes - 1)) === 0;
}

export interface PageHeader {
  readonly id: number;
  readonly flags: number;
  readonly count: number;
  readonly overflow: number;
}

export function writePageHeader(target: Buffer, at: number, header: PageHeader): void {
  target.writeUInt32LE(header.id % 2 ** 32, at);
  target.writeUInt32LE(Math.floor(header.id / 2 ** 32), at + 4);
  target.writeUInt16LE(header.flags, at + 8);
  target.writeUInt16LE(header.count, at + 10);
  target.writeUInt32LE(header.overflow, at + 12);
}

export function readPageId(source: Buffer, at: number): number {
  return source.readUInt32LE(at) + source.readUInt32LE(at + 4) * 2 ** 32;
}

export function readPageHeader(source: Buffer, at: number): PageHeader {
  return {
    id: readPageId(source, at),
    flags: source.readUInt16LE(at + 8),
    count: source.readUInt16LE(at + 10),
    overflow: source.readUInt32LE(at + 12),
  };
}
