import { assert } from '../lib/assert.ts';
import { REVISION_BYTES, readMain, readSub, writeRevision } from './revision.ts';

/**
 * What the index stores about a key at one of its revisions. It is enough for counts, comparisons, sorting and
 * keys-only reads, and for the size of a response, without reading the value.
 */
export class IndexMeta {
  readonly mod: number;
  readonly sub: number;
  readonly create: number;
  /** 1 for the put that created the key; 0 for a tombstone. */
  readonly version: number;
  readonly lease: bigint;
  /** Bytes of the encoded KeyValue. */
  readonly size: number;
  /** The encoded KeyValue if it is in memory. The event row always has it. */
  kv: Buffer | undefined;

  constructor(fields: {
    mod: number;
    sub: number;
    create: number;
    version: number;
    lease: bigint;
    size: number;
    kv: Buffer | undefined;
  }) {
    this.mod = fields.mod;
    this.sub = fields.sub;
    this.create = fields.create;
    this.version = fields.version;
    this.lease = fields.lease;
    this.size = fields.size;
    this.kv = fields.kv;
  }

  get isTombstone(): boolean {
    return this.version === 0;
  }
}

const ROW_BYTES = REVISION_BYTES + 6 + 6 + 4;
const LEASE_BYTES = 8;

/** Bytes of a row of `latest` or `version`. The bytes of the lease are present only if there is a lease. */
export function indexMetaSize(meta: IndexMeta): number {
  return meta.lease === 0n ? ROW_BYTES : ROW_BYTES + LEASE_BYTES;
}

/** Fills `row`, which has exactly the size of the meta. */
export function writeIndexMeta(row: Buffer, meta: IndexMeta): void {
  writeRevision(row, 0, meta.mod, meta.sub);
  row.writeUIntBE(meta.create, 12, 6);
  row.writeUIntBE(meta.version, 18, 6);
  row.writeUInt32BE(meta.size, 24);
  if (meta.lease !== 0n) row.writeBigInt64BE(meta.lease, ROW_BYTES);
}

export function decodeIndexMeta(row: Buffer): IndexMeta {
  assert(
    row.length === ROW_BYTES || row.length === ROW_BYTES + LEASE_BYTES,
    'an index row has one of its two lengths',
  );
  return new IndexMeta({
    mod: readMain(row, 0),
    sub: readSub(row, 0),
    create: row.readUIntBE(12, 6),
    version: row.readUIntBE(18, 6),
    size: row.readUInt32BE(24),
    lease: row.length === ROW_BYTES ? 0n : row.readBigInt64BE(ROW_BYTES),
    kv: undefined,
  });
}

/** The modification revision of an index row, for scans that need no more. */
export function indexRowMod(row: Buffer): number {
  return readMain(row, 0);
}

/** The bytes of the KeyValue of an index row, for scans that need no more. */
export function indexRowSize(row: Buffer): number {
  return row.readUInt32BE(24);
}
