import { assert } from '../../lib/assert.ts';
import { crc32c as crc32cOfShort } from '../../lib/crc32c.ts';
import type { Entry, HardState } from '../../wire/gen/raftpb.ts';
import { writeBigVarint, writeVarint } from '../../wire/varint.ts';
import { crc32c } from './checksum.ts';
import { FRAME_HEADER_BYTES, maxFrameBytes, paddingOf, RecordType } from './record.ts';

const INITIAL_BYTES = 256 << 10;
/**
 * A buffer that grew beyond this size for a large batch is freed afterwards. It is a little more than the log writes at
 * once. Otherwise a member that catches up would allocate and free a buffer for every 4 MB, and the kernel would clear
 * each of its pages again.
 */
const MAX_KEPT_BYTES = (4 << 20) + (64 << 10);
/** Maximum size of the fields of an entry or a state, without the entry's data. */
const MAX_FIELD_BYTES = 48;

/** Writes records one after another into its own buffer, and computes the checksum chain. */
export class RecordEncoder {
  readonly #fields = Buffer.alloc(MAX_FIELD_BYTES);
  #buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #length = 0;
  #crc: number;

  constructor(crc: number) {
    this.#crc = crc;
  }

  /** Value of the checksum chain after the last record. */
  get crc(): number {
    return this.#crc;
  }

  get length(): number {
    return this.#length;
  }

  /** Holds the records at [0, length) until `clear`. */
  get buffer(): Buffer {
    return this.#buffer;
  }

  clear(): void {
    this.#length = 0;
    if (this.#buffer.length > MAX_KEPT_BYTES) this.#buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  }

  /** Makes space for `bytes` more at once, so that the buffer is not copied several times while it grows. */
  reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    const doubled = Math.min(this.#buffer.length * 2, MAX_KEPT_BYTES);
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, doubled));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }

  /** The checksum record that links two segments; the first record of each segment. */
  chain(): void {
    this.reserve(maxFrameBytes(0));
    const at = this.#writeHead(RecordType.crc);
    this.#finish(at);
  }

  entry(entry: Entry): void {
    const fields = this.#fields;
    let size = 0;
    // The type of a normal entry is omitted, as in etcd.
    if (entry.type !== 0) {
      fields[size++] = 0x08;
      size = writeVarint(fields, size, entry.type);
    }
    fields[size++] = 0x10;
    size = writeVarint(fields, size, entry.term);
    fields[size++] = 0x18;
    size = writeVarint(fields, size, entry.index);
    const { data } = entry;
    if (data !== undefined) {
      fields[size++] = 0x22;
      size = writeVarint(fields, size, data.length);
    }
    this.#record(RecordType.entry, size, data);
  }

  state(state: HardState): void {
    const fields = this.#fields;
    fields[0] = 0x08;
    let size = writeVarint(fields, 1, state.term);
    fields[size++] = 0x10;
    size = writeBigVarint(fields, size, state.vote);
    fields[size++] = 0x18;
    size = writeVarint(fields, size, state.commit);
    this.#record(RecordType.state, size, undefined);
  }

  /** Metadata and snapshot records, which are passed encoded. */
  message(type: typeof RecordType.metadata | typeof RecordType.snapshot, data: Buffer): void {
    this.#record(type, 0, data);
  }

  #record(type: RecordType, fieldBytes: number, data: Buffer | undefined): void {
    const fields = this.#fields;
    const dataBytes = fieldBytes + (data?.length ?? 0);
    this.reserve(maxFrameBytes(dataBytes));
    this.#crc = crc32cOfShort(this.#crc, fields, 0, fieldBytes);
    if (data !== undefined) this.#crc = crc32c(this.#crc, data);
    const buffer = this.#buffer;
    let at = this.#writeHead(type);
    buffer[at++] = 0x1a;
    at = writeVarint(buffer, at, dataBytes);
    for (let n = 0; n < fieldBytes; n++) buffer[at++] = fields[n] as number;
    if (data !== undefined) {
      buffer.set(data, at);
      at += data.length;
    }
    this.#finish(at);
  }

  #writeHead(type: RecordType): number {
    const buffer = this.#buffer;
    let at = this.#length + FRAME_HEADER_BYTES;
    buffer[at++] = 0x08;
    buffer[at++] = type;
    buffer[at++] = 0x10;
    return writeVarint(buffer, at, this.#crc);
  }

  /** Writes the length field and the padding around the record that ends at `end`. */
  #finish(end: number): void {
    const buffer = this.#buffer;
    const recordBytes = end - this.#length - FRAME_HEADER_BYTES;
    const padding = paddingOf(recordBytes);
    assert(recordBytes < 0x8000_0000, 'a record is shorter than 2 GiB');
    buffer.writeUInt32LE(recordBytes, this.#length);
    buffer.writeUInt32LE(padding === 0 ? 0 : (0x80 | padding) * 0x100_0000, this.#length + 4);
    for (let n = 0; n < padding; n++) buffer[end + n] = 0;
    this.#length = end + padding;
  }
}
