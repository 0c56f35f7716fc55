import { assert } from '../../lib/assert.ts';
import type { AppliedGroup, AppliedMark, EntryId } from '../../ports/applied-log.ts';
import type { Entry, EntryType } from '../../wire/gen/raftpb.ts';
import type { ChainId } from './segment-name.ts';

/*
 * A segment is the magic, a header in JSON with its length before it, blocks compressed with gzip with their length
 * before them, a length of 0, and the SHA-256 of all bytes before it. Numbers are big-endian. A block has records: a
 * mark, and entries of the raft log. A mark is for the entries that follow, until the next mark. The first record of a
 * segment is a mark.
 */

export const MAGIC = Buffer.from('KSBKLOG1');
export const LENGTH_BYTES = 4;
export const SHA256_BYTES = 32;

const MARK = 1;
const ENTRY = 2;
const MARK_BYTES = 1 + 4 * 8;
const ENTRY_HEAD_BYTES = 1 + 1 + 8 + 8 + LENGTH_BYTES;

export interface SegmentHeader {
  readonly formatVersion: typeof FORMAT_VERSION;
  readonly clusterId: string;
  /** The member that wrote it. */
  readonly memberId: string;
  readonly chain: ChainId;
  /** The entry before the first one. */
  readonly previous: EntryId;
  /** Why the chain does not follow the one before it. Only in its first segment. */
  readonly gap?: string;
  /** A shorter TTL of a lease is raised to it when the lease is granted, in seconds. */
  readonly minLeaseTtl: number;
  readonly keysteadVersion: string;
}

export const FORMAT_VERSION = 1;

export type LogRecord =
  { readonly kind: 'mark'; readonly mark: AppliedMark } | { readonly kind: 'entry'; readonly entry: Entry };

/** The records of groups, as parts of a block. The data of entries are not copied. */
export function* encodeRecords(groups: readonly AppliedGroup[]): Generator<Buffer, void> {
  for (const { mark, entries } of groups) {
    yield encodeMark(mark);
    for (const { type, index, term, data } of entries) {
      const head = Buffer.allocUnsafe(ENTRY_HEAD_BYTES);
      head[0] = ENTRY;
      head[1] = type;
      writeNumber(head, index, 2);
      writeNumber(head, term, 10);
      head.writeUInt32BE(data?.length ?? 0, 18);
      yield head;
      if (data !== undefined && data.length > 0) yield data;
    }
  }
}

function encodeMark({ index, timeMs, revision, compactRevision }: AppliedMark): Buffer {
  const bytes = Buffer.allocUnsafe(MARK_BYTES);
  bytes[0] = MARK;
  for (const [at, value] of [index, timeMs, revision, compactRevision + 1].entries())
    writeNumber(bytes, value, 1 + at * 8);
  return bytes;
}

/** @throws Error if the block is not of this format */
export function* decodeRecords(block: Buffer): Generator<LogRecord, void> {
  for (let at = 0; at < block.length;) {
    const kind = block[at];
    if (kind === MARK && at + MARK_BYTES <= block.length) {
      const mark = {
        index: readNumber(block, at + 1),
        timeMs: readNumber(block, at + 9),
        revision: readNumber(block, at + 17),
        compactRevision: readNumber(block, at + 25) - 1,
      };
      at += MARK_BYTES;
      yield { kind: 'mark', mark };
    } else if (kind === ENTRY && at + ENTRY_HEAD_BYTES <= block.length) {
      const start = at + ENTRY_HEAD_BYTES;
      const end = start + block.readUInt32BE(at + 18);
      if (end > block.length) throw new Error('an entry is cut off');
      const data = end > start ? block.subarray(start, end) : undefined;
      const type = block[at + 1] as EntryType;
      const entry = { type, index: readNumber(block, at + 2), term: readNumber(block, at + 10), data };
      at = end;
      yield { kind: 'entry', entry };
    } else throw new Error(`a record of the unknown kind ${kind}`);
  }
}

function writeNumber(bytes: Buffer, value: number, offset: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, 'a number of the log is a safe integer');
  bytes.writeUInt32BE(Math.floor(value / 0x1_0000_0000), offset);
  bytes.writeUInt32BE(value % 0x1_0000_0000, offset + 4);
}

function readNumber(bytes: Buffer, offset: number): number {
  return Number(bytes.readBigUInt64BE(offset));
}
