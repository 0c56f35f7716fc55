/**
 * Records and frames as etcd's log has them. A frame is an 8-byte little-endian length field and a record
 * padded with zeros to a multiple of 8 bytes; the length field's top byte is 0 without padding, else 0x80
 * plus the number of padding bytes. A record is a protobuf message (walpb.Record): type 1, crc 2, data 3.
 * Its crc is the CRC-32C of the data of all records since the chain began.
 */
export const RecordType = { metadata: 1, entry: 2, state: 3, crc: 4, snapshot: 5 } as const;
export type RecordType = (typeof RecordType)[keyof typeof RecordType];

export const FRAME_HEADER_BYTES = 8;

/** More than any record that a client can cause. A longer record has a damaged length. */
export const MAX_RECORD_BYTES = 1 << 30;

/** Maximum size of a record with `dataBytes` of data, including the frame. */
export const maxFrameBytes = (dataBytes: number): number => FRAME_HEADER_BYTES + 2 + 6 + 11 + dataBytes + 7;

export const paddingOf = (recordBytes: number): number => (8 - (recordBytes & 7)) & 7;

export interface FrameSize {
  readonly recordBytes: number;
  readonly paddingBytes: number;
}

/** Reads a length field; undefined if it is invalid. */
export function readFrameSize(bytes: Buffer, at: number): FrameSize | undefined {
  const low = bytes.readUInt32LE(at);
  const high = bytes.readUInt32LE(at + 4);
  const top = high >>> 24;
  const recordBytes = (high & 0xffffff) * 0x1_0000_0000 + low;
  const paddingBytes = paddingOf(recordBytes);
  if (recordBytes === 0 || recordBytes > MAX_RECORD_BYTES) return undefined;
  if (top !== (paddingBytes === 0 ? 0 : 0x80 | paddingBytes)) return undefined;
  return { recordBytes, paddingBytes };
}

export interface RecordView {
  readonly type: RecordType;
  readonly crc: number;
  /** The data is at [start, end) of the given bytes; empty if there is none. */
  readonly start: number;
  readonly end: number;
}

/** Parses a record by its own fields; undefined if they are invalid. */
export function readRecord(bytes: Buffer, at: number, end: number): RecordView | undefined {
  if (end - at < 4 || bytes[at] !== 0x08) return undefined;
  const type = bytes[at + 1] as number;
  if (type < 1 || type > 5 || bytes[at + 2] !== 0x10) return undefined;
  let next = at + 3;
  let crc = 0;
  for (let shift = 0; ; shift += 7) {
    if (next >= end || shift > 28) return undefined;
    const byte = bytes[next++] as number;
    crc = (crc | ((byte & 0x7f) << shift)) >>> 0;
    if (byte < 0x80) break;
  }
  if (next === end) return { type: type as RecordType, crc, start: end, end };
  if (bytes[next++] !== 0x1a) return undefined;
  let length = 0;
  for (let scale = 1; ; scale *= 128) {
    if (next >= end || scale > MAX_RECORD_BYTES) return undefined;
    const byte = bytes[next++] as number;
    length += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
  }
  return { type: type as RecordType, crc, start: next, end: next + length };
}
