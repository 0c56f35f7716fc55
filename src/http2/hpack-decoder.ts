import { EMPTY } from '../wire/reader.ts';
import { ConnectionError, ErrorCode } from './constants.ts';
import { HeaderField } from './header-field.ts';
import { STATIC_TABLE } from './hpack-static-table.ts';
import { huffmanDecode } from './huffman.ts';

const STATIC_FIELDS: readonly HeaderField[] = STATIC_TABLE.map(
  ([name, value]) => new HeaderField(name, value),
);
const STATIC_COUNT = STATIC_FIELDS.length;

function compressionError(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.COMPRESSION_ERROR, message);
}

/**
 * Decodes the header blocks of one connection (RFC 7541). Table entries are shared objects, so an indexed field needs
 * no string operations.
 */
export class HpackDecoder {
  /** Fields of the last block; valid until the next call, and empty when `oversized`. */
  readonly fields: HeaderField[] = [];
  /** Whether the fields of the last block exceeded `maxListBytes`. The dynamic table is still correct then. */
  oversized = false;

  readonly #maxListBytes: number;
  /** The announced table size. The peer may choose any size up to it. */
  readonly #tableLimit: number;
  #tableMax: number;
  #tableSize = 0;
  /** A ring; its length is a power of two that holds every entry the limit permits. */
  readonly #ring: (HeaderField | undefined)[];
  /** Entries ever inserted: the newest entry is at `(#inserted - 1) & mask`. */
  #inserted = 0;
  #count = 0;

  #source: Buffer = EMPTY;
  #position = 0;
  #end = 0;

  /** `maxListBytes` bounds the accounting size of one decoded list; `tableBytes` is what SETTINGS announced. */
  constructor({ maxListBytes, tableBytes }: { maxListBytes: number; tableBytes: number }) {
    this.#maxListBytes = maxListBytes;
    this.#tableLimit = tableBytes;
    this.#tableMax = tableBytes;
    let capacity = 1;
    while (capacity < tableBytes / 32 + 1) capacity *= 2;
    this.#ring = new Array<HeaderField | undefined>(capacity).fill(undefined);
  }

  /**
   * Decodes one complete block, `source[start..end)`, into `fields`.
   *
   * @throws ConnectionError COMPRESSION_ERROR for a malformed block
   */
  decode(source: Buffer, start: number, end: number): void {
    this.#source = source;
    this.#position = start;
    this.#end = end;
    this.oversized = false;
    const fields = this.fields;
    let count = 0;
    let listBytes = 0;
    let updatesAllowed = true;
    while (this.#position < end) {
      const first = source[this.#position] as number;
      let field: HeaderField;
      if (first >= 0x80) {
        field = this.#entry(first < 0xff ? (this.#position++, first & 0x7f) : this.#integer(0x7f));
      } else if (first >= 0x40) {
        field = this.#literal(this.#integer(0x3f));
        this.#insert(field);
      } else if (first >= 0x20) {
        if (!updatesAllowed) throw compressionError('table size update after a field');
        this.#resize(this.#integer(0x1f));
        continue;
      } else {
        field = this.#literal(this.#integer(0x0f));
      }
      updatesAllowed = false;
      listBytes += field.size;
      if (listBytes <= this.#maxListBytes) fields[count++] = field;
    }
    if (listBytes > this.#maxListBytes) {
      this.oversized = true;
      count = 0;
    }
    fields.length = count;
  }

  /** An integer with the given prefix mask, read at the position (RFC 7541 section 5.1). */
  #integer(mask: number): number {
    const source = this.#source;
    if (this.#position >= this.#end) throw compressionError('truncated block');
    let value = (source[this.#position++] as number) & mask;
    if (value < mask) return value;
    // Four more bytes reach 2^28, far beyond any length or index this side accepts.
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#position >= this.#end) throw compressionError('truncated integer');
      const byte = source[this.#position++] as number;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw compressionError('integer too large');
  }

  #string(): string {
    if (this.#position >= this.#end) throw compressionError('truncated block');
    const huffman = (this.#source[this.#position] as number) >= 0x80;
    const length = this.#integer(0x7f);
    const start = this.#position;
    const stop = start + length;
    if (stop > this.#end) throw compressionError('truncated string');
    this.#position = stop;
    if (!huffman) return this.#source.toString('latin1', start, stop);
    const text = huffmanDecode(this.#source, start, stop);
    if (text === undefined) throw compressionError('invalid Huffman code');
    return text;
  }

  #literal(nameIndex: number): HeaderField {
    if (nameIndex === 0) {
      const name = this.#string();
      return new HeaderField(name, this.#string());
    }
    const named = this.#entry(nameIndex);
    return new HeaderField(named.name, this.#string(), named);
  }

  #entry(index: number): HeaderField {
    const field =
      index <= STATIC_COUNT
        ? STATIC_FIELDS[index - 1]
        : index - STATIC_COUNT <= this.#count
          ? this.#ring[(this.#inserted - (index - STATIC_COUNT)) & (this.#ring.length - 1)]
          : undefined;
    if (field === undefined) throw compressionError(`no entry at index ${index}`);
    return field;
  }

  #insert(field: HeaderField): void {
    this.#evictTo(this.#tableMax - field.size);
    // An entry larger than the table empties it and is not kept (RFC 7541 section 4.4).
    if (field.size > this.#tableMax) return;
    this.#ring[this.#inserted & (this.#ring.length - 1)] = field;
    this.#inserted++;
    this.#count++;
    this.#tableSize += field.size;
  }

  #resize(bytes: number): void {
    if (bytes > this.#tableLimit) throw compressionError('table size beyond the announced limit');
    this.#tableMax = bytes;
    this.#evictTo(bytes);
  }

  #evictTo(bytes: number): void {
    while (this.#count > 0 && this.#tableSize > bytes) {
      const slot = (this.#inserted - this.#count) & (this.#ring.length - 1);
      this.#tableSize -= this.#ring[slot]?.size ?? 0;
      this.#ring[slot] = undefined;
      this.#count--;
    }
  }
}
