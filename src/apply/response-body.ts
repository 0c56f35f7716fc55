import { varintSize, writeVarint } from '../wire/varint.ts';

/**
 * A response as slices of bytes without the header (field 1). The serving member adds the header, because only it
 * knows the IDs in it. KeyValues are stored bytes, which are inserted without decoding.
 */
export class ResponseBody {
  readonly slices: Buffer[] = [];
  /** The total size of all slices, in bytes. */
  size = 0;

  bytes(bytes: Buffer): void {
    this.slices.push(bytes);
    this.size += bytes.length;
  }

  /** A varint field. As in proto3, zero is left out. */
  varint(field: number, value: number): void {
    if (value !== 0) this.bytes(encodeVarints(field << 3, value));
  }

  /** A length-delimited field. */
  field(field: number, value: Buffer): void {
    this.bytes(encodeVarints((field << 3) | 2, value.length));
    if (value.length > 0) this.bytes(value);
  }

  /** A repeated length-delimited field, copied into one slice: very many small ones would slow down their sending. */
  fields(field: number, values: readonly Buffer[]): void {
    const tag = (field << 3) | 2;
    let size = 0;
    for (const { length } of values) size += varintSize(tag) + varintSize(length) + length;
    if (size === 0) return;
    const joined = Buffer.allocUnsafe(size);
    let at = 0;
    for (const value of values) {
      at = writeVarint(joined, writeVarint(joined, at, tag), value.length);
      joined.set(value, at);
      at += value.length;
    }
    this.bytes(joined);
  }

  /** A nested message. */
  message(field: number, body: ResponseBody): void {
    this.bytes(encodeVarints((field << 3) | 2, body.size));
    for (const slice of body.slices) this.slices.push(slice);
    this.size += body.size;
  }

  /** The header of a response nested in a transaction: the revision, or empty. */
  nestedHeader(revision: number): void {
    if (revision === 0) {
      this.bytes(EMPTY_HEADER);
      return;
    }
    const fields = encodeVarints(HEADER_REVISION << 3, revision);
    this.field(1, fields);
  }
}

const HEADER_REVISION = 3;
const EMPTY_HEADER = Buffer.from([0x0a, 0x00]);

/** The body of a response that has only a header. */
export const EMPTY_BODY: ResponseBody = Object.freeze(new ResponseBody());

/** Two consecutive varints: a tag and a length or value. Values are non-negative safe integers. */
function encodeVarints(first: number, second: number): Buffer {
  const bytes = Buffer.allocUnsafe(varintSize(first) + varintSize(second));
  writeVarint(bytes, writeVarint(bytes, 0, first), second);
  return bytes;
}
