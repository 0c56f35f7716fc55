/**
 * Converts protobuf's wire format to its JSON mapping while the bytes arrive. However long a message is, only the stack
 * of nested messages and an incomplete number or string are in memory. It works only for messages of this server: fields
 * in the order of declaration, elements of a repeated field together, no field twice.
 */
import { assert, defined } from '../lib/assert.ts';
import { messages } from './gen/descriptors.ts';
import type { FieldDescriptor } from './json-descriptor.ts';
import { enumText } from './json-scalar.ts';
import { EMPTY } from './reader.ts';
import { VarintHalves } from './varint.ts';

const VARINT = 0;
const DELIMITED = 2;
const TWO_32 = 2 ** 32;
const SAFE_HIGH = 2 ** 21;

/** A message in progress, or the packed elements of one field. */
interface Frame {
  /** Undefined for packed elements and for skipped fields. */
  readonly fields: ReadonlyMap<number, FieldDescriptor> | undefined;
  /** The field of packed elements. */
  readonly packed: FieldDescriptor | undefined;
  /** Position in the whole message. */
  readonly end: number;
  isEmpty: boolean;
  /** The repeated field whose elements are being written. */
  list: FieldDescriptor | undefined;
}

/** A value in progress whose length is known. */
interface Value {
  readonly field: FieldDescriptor | undefined;
  left: number;
  /** For bytes: the rest that is shorter than three bytes. For a string: everything so far. */
  kept: Buffer;
}

const fieldMaps = new Map<string, ReadonlyMap<number, FieldDescriptor>>();

function fieldsOf(type: string): ReadonlyMap<number, FieldDescriptor> {
  let fields = fieldMaps.get(type);
  if (fields === undefined) {
    const { fields: all } = defined(messages[type], 'a message has a descriptor');
    fields = new Map(all.map((field) => [field.number, field]));
    fieldMaps.set(type, fields);
  }
  return fields;
}

export class JsonTranscoder {
  readonly #frames: Frame[];
  #value: Value | undefined;
  /** An incomplete tag, length or number. */
  #rest: Buffer = EMPTY;
  /** Number of processed bytes of the message. */
  #position = 0;
  #fields = 0;
  #out: string[] = ['{'];
  /** The halves of the last varint. */
  readonly #halves = new VarintHalves();

  /** @param type full name, such as `etcdserverpb.RangeResponse`; @param totalBytes size of the message */
  constructor(type: string, totalBytes: number) {
    this.#frames = [frame(fieldsOf(type), totalBytes)];
  }

  /** Number of fields and elements so far. Many small ones take more time than few large ones of the same size. */
  get fields(): number {
    return this.#fields;
  }

  /** Returns the text for the next bytes. After the last bytes the text is complete; an empty message has no text. */
  push(bytes: Buffer): string {
    const chunk = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    this.#rest = EMPTY;
    let at = 0;
    for (;;) {
      this.#close();
      if (at === chunk.length) break;
      const used = this.#value === undefined ? this.#field(chunk, at) : this.#part(this.#value, chunk, at);
      if (used === 0) {
        this.#rest = chunk.subarray(at);
        break;
      }
      at += used;
      this.#position += used;
    }
    const text = this.#out.join('');
    this.#out = [];
    return text;
  }

  /** Closes all frames that end at this position. */
  #close(): void {
    if (this.#value !== undefined) return;
    for (let top = this.#frames.at(-1); top !== undefined && top.end === this.#position;) {
      if (top.fields !== undefined) this.#out.push(top.list === undefined ? '}' : ']}');
      this.#frames.pop();
      top = this.#frames.at(-1);
    }
  }

  /** Reads a tag with its number or length. Returns the number of bytes used, 0 if they are incomplete. */
  #field(chunk: Buffer, at: number): number {
    this.#fields += 1;
    const top = defined(this.#frames.at(-1), 'bytes after the end of a message');
    if (top.packed !== undefined) {
      const used = this.#varint(chunk, at);
      if (used > 0) this.#number(top.packed);
      return used;
    }
    const tagBytes = this.#varint(chunk, at);
    if (tagBytes === 0) return 0;
    const tag = this.#halves.low;
    const usedBytes = this.#varint(chunk, at + tagBytes);
    if (usedBytes === 0) return 0;
    const field = top.fields?.get(tag >>> 3);
    const wireType = tag & 7;
    assert(
      wireType === VARINT || wireType === DELIMITED,
      'messages of this server have no fixed-width fields',
    );
    const used = tagBytes + usedBytes;
    if (wireType === VARINT) {
      if (field !== undefined) this.#scalar(top, field);
    } else this.#begin(top, field, this.#position + used);
    return used;
  }

  #scalar(top: Frame, field: FieldDescriptor): void {
    const isDefault = this.#halves.low === 0 && this.#halves.high === 0;
    if (isDefault && field.oneof === undefined && field.repeated !== true) return;
    this.#name(top, field);
    this.#number(field);
  }

  /** Starts a value whose length was read. Its bytes begin at `from`. */
  #begin(top: Frame, field: FieldDescriptor | undefined, from: number): void {
    const length = this.#halves.number;
    assert(from + length <= top.end, 'a field is inside its message');
    if (field === undefined) {
      if (length > 0) this.#value = { field, left: length, kept: EMPTY };
      return;
    }
    if (field.kind === 'message') {
      this.#name(top, field);
      this.#out.push('{');
      this.#frames.push(frame(fieldsOf(field.type ?? ''), from + length));
    } else if (field.kind === 'bytes' || field.kind === 'string') {
      if (length === 0 && field.oneof === undefined && field.repeated !== true) return;
      this.#name(top, field);
      if (length === 0) this.#out.push('""');
      else {
        if (field.kind === 'bytes') this.#out.push('"');
        this.#value = { field, left: length, kept: EMPTY };
      }
    } else {
      if (length === 0) return;
      this.#name(top, field);
      this.#frames.push({ ...frame(undefined, from + length), packed: field });
    }
  }

  /** Writes the text before a value: the name of its field, or a comma before the next element of a list. */
  #name(top: Frame, field: FieldDescriptor): void {
    if (top.list === field) {
      this.#out.push(',');
      return;
    }
    if (top.list !== undefined) this.#out.push(']');
    top.list = field.repeated === true ? field : undefined;
    this.#out.push(top.isEmpty ? '"' : ',"', field.protoName, top.list === undefined ? '":' : '":[');
    top.isEmpty = false;
  }

  #part(value: Value, chunk: Buffer, at: number): number {
    const used = Math.min(value.left, chunk.length - at);
    value.left -= used;
    const isLast = value.left === 0;
    if (isLast) this.#value = undefined;
    if (value.field === undefined) return used;
    const part = chunk.subarray(at, at + used);
    if (value.field.kind === 'bytes') {
      this.#base64(value, part, isLast);
      return used;
    }
    value.kept = value.kept.length === 0 ? part : Buffer.concat([value.kept, part]);
    if (isLast) this.#out.push(JSON.stringify(value.kept.toString()));
    return used;
  }

  #base64(value: Value, part: Buffer, isLast: boolean): void {
    let from = 0;
    if (value.kept.length > 0) {
      from = Math.min(3 - value.kept.length, part.length);
      value.kept = Buffer.concat([value.kept, part.subarray(0, from)]);
      if (value.kept.length === 3 || isLast) {
        this.#out.push(value.kept.toString('base64'));
        value.kept = EMPTY;
      }
    }
    const to = isLast ? part.length : part.length - ((part.length - from) % 3);
    if (to > from) this.#out.push(part.toString('base64', from, to));
    if (to < part.length) value.kept = part.subarray(to);
    if (isLast) this.#out.push('"');
  }

  #number(field: FieldDescriptor): void {
    const top = this.#frames.at(-1);
    if (top?.packed !== undefined) {
      if (!top.isEmpty) this.#out.push(',');
      top.isEmpty = false;
    }
    const low = this.#halves.low;
    const high = this.#halves.high;
    switch (field.kind) {
      case 'bool':
        this.#out.push(low === 0 && high === 0 ? 'false' : 'true');
        return;
      case 'enum':
        this.#out.push(enumText(field.type ?? '', low | 0));
        return;
      case 'int32':
        this.#out.push(String(low | 0));
        return;
      case 'uint32':
        this.#out.push(String(low));
        return;
      default: {
        if (high < SAFE_HIGH) {
          this.#out.push(`"${high * TWO_32 + low}"`);
          return;
        }
        const value = (BigInt(high) << 32n) | BigInt(low);
        this.#out.push(`"${field.kind.startsWith('u') ? value : BigInt.asIntN(64, value)}"`);
      }
    }
  }

  /** Reads a varint into its halves. Returns the number of bytes used, 0 if it is incomplete. */
  #varint(chunk: Buffer, at: number): number {
    const used = this.#halves.read(chunk, at);
    assert(used >= 0, 'a varint of this server has at most ten bytes');
    return used;
  }
}

function frame(fields: Frame['fields'], end: number): Frame {
  return { fields, packed: undefined, end, isEmpty: true, list: undefined };
}
