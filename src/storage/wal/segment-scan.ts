import { crc32c } from './checksum.ts';
import { CorruptLogError } from './corrupt-log-error.ts';
import type { FileWindow } from './file-window.ts';
import { FRAME_HEADER_BYTES, readFrameSize, readRecord, RecordType } from './record.ts';

/** Unit in which disks write: a torn write leaves whole sectors as they were before. */
const SECTOR_BYTES = 512;

/** Maximum size of the fields of a record before its data. */
const MAX_HEAD_BYTES = 32;

/** Called with each intact record. `data` is valid during the call only. */
export type RecordVisitor = (type: RecordType, data: Buffer, offset: number) => void;

export interface SegmentScan {
  /** Offset after the last intact record. */
  readonly end: number;
  /** Offset after the last byte that is not zero; beyond `end` after a torn write. */
  readonly nonZeroEnd: number;
  /** Value of the checksum chain at `end`. */
  readonly crc: number;
}

interface Frame {
  readonly type: RecordType;
  readonly crc: number;
  readonly data: Buffer;
  readonly next: number;
}

/** Reads the frame at `offset` without checking its checksum. A string says why it is invalid. */
function readFrame(window: FileWindow, offset: number): Frame | string {
  if (offset + FRAME_HEADER_BYTES > window.size) return 'the file ends within a length field';
  const size = readFrameSize(window.bytes(offset, FRAME_HEADER_BYTES), 0);
  if (size === undefined) return 'no length a writer would give';
  const start = offset + FRAME_HEADER_BYTES;
  const next = start + size.recordBytes + size.paddingBytes;
  if (next > window.size) return 'the record is longer than the file';
  const bytes = window.bytes(start, size.recordBytes);
  const record = readRecord(bytes, 0, bytes.length);
  if (record?.end !== size.recordBytes) return 'not a record';
  return { type: record.type, crc: record.crc, data: bytes.subarray(record.start, record.end), next };
}

const isChained = (frame: Frame, crc: number): boolean =>
  frame.type === RecordType.crc ? frame.crc === crc : frame.crc === crc32c(crc, frame.data);

/**
 * Reads one segment, checks the checksum of every record, and passes it to `visit`.
 *
 * @param crc value of the checksum chain so far; undefined for the first segment read, whose first record has it
 * @param file the segment's name, for messages
 * @param isLast whether a torn write may end it
 * @throws CorruptLogError at the first data that is neither a record nor a torn write
 */
export function scanSegment(
  window: FileWindow,
  options: { file: string; isLast: boolean; crc: number | undefined },
  visit: RecordVisitor,
): SegmentScan {
  let { crc } = options;
  let offset = 0;
  for (;;) {
    const frame = readFrame(window, offset);
    const damage = typeof frame === 'string' ? frame : damageOf(frame, crc);
    if (typeof frame === 'string' || damage !== undefined) {
      const nonZeroEnd = window.lastNonZero(offset);
      const isTorn = nonZeroEnd === offset || (options.isLast && isTornWrite(window, offset, nonZeroEnd));
      if (!isTorn) throw new CorruptLogError(options.file, offset, damage ?? 'damaged');
      return { end: offset, nonZeroEnd, crc: crc ?? 0 };
    }
    crc = frame.crc;
    visit(frame.type, frame.data, offset);
    offset = frame.next;
  }
}

function damageOf(frame: Frame, crc: number | undefined): string | undefined {
  if (crc === undefined)
    return frame.type === RecordType.crc ? undefined : 'a segment begins with a checksum';
  return isChained(frame, crc) ? undefined : 'checksum mismatch';
}

/**
 * Distinguishes a torn write from damage of synced data. At most one write runs at any time, and each ends with a state
 * record. So data at `offset` can only be a torn write if no intact record follows a state record after it. Then either
 * its end is missing, or a whole sector.
 */
function isTornWrite(window: FileWindow, offset: number, nonZeroEnd: number): boolean {
  if (followsSyncedWrite(window, offset, nonZeroEnd)) return false;
  return endIsMissing(window, offset, nonZeroEnd) || hasEmptySector(window, offset, nonZeroEnd);
}

/**
 * Searches after the damage for records with matching checksums, and among them for a state record that is not the
 * last.
 */
function followsSyncedWrite(window: FileWindow, offset: number, nonZeroEnd: number): boolean {
  for (let at = offset + 8; at < nonZeroEnd; at += 8) {
    let frame = readFrame(window, at);
    if (typeof frame === 'string') continue;
    for (;;) {
      const { crc, type, next: nextOffset }: Frame = frame;
      const next = readFrame(window, nextOffset);
      if (typeof next === 'string' || !isChained(next, crc)) break;
      if (type === RecordType.state) return true;
      frame = next;
    }
  }
  return false;
}

/** Whether the record at `offset` is cut off: its fields are consistent, but its end is missing. */
function endIsMissing(window: FileWindow, offset: number, nonZeroEnd: number): boolean {
  const start = offset + FRAME_HEADER_BYTES;
  if (nonZeroEnd <= start) return true;
  const size = readFrameSize(window.bytes(offset, FRAME_HEADER_BYTES), 0);
  if (size === undefined) return false;
  const end = start + size.recordBytes;
  if (end <= nonZeroEnd && end + size.paddingBytes <= window.size) return false;
  const available = nonZeroEnd - start;
  const head = window.bytes(start, Math.min(size.recordBytes, available, MAX_HEAD_BYTES));
  const record = readRecord(head, 0, head.length);
  // If it is cut within its first fields, there is nothing to compare. Otherwise the length of the data must fill the
  // record.
  const isCutEarly = record === undefined || record.start === head.length;
  return isCutEarly ? available < MAX_HEAD_BYTES : record.end === size.recordBytes;
}

function hasEmptySector(window: FileWindow, offset: number, nonZeroEnd: number): boolean {
  for (let at = offset; at < nonZeroEnd;) {
    const next = Math.min(nonZeroEnd, at - (at % SECTOR_BYTES) + SECTOR_BYTES);
    if (window.bytes(at, next - at).every((byte) => byte === 0)) return true;
    at = next;
  }
  return false;
}
