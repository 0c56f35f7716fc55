/**
 * Decodes messages from protobuf's JSON mapping like etcd's gateway. Field names are those of proto/ or lowerCamelCase.
 * Unknown fields and unknown enum names are ignored. 64-bit integers are numbers or strings, bytes are base64 in either
 * alphabet. Errors have the texts of Go's protojson.
 */
import { enums, messages } from './gen/descriptors.ts';
import type { FieldDescriptor, MessageDescriptor } from './json-descriptor.ts';
import { JsonError, readJson, type JsonMember, type JsonValue } from './json-text.ts';
import { EMPTY } from './reader.ts';
import { defined } from '../lib/assert.ts';

type Message = Record<string, unknown>;

/** Bounds of each kind of integer, both included. */
const INTEGER_BOUNDS = {
  int32: [-(2n ** 31n), 2n ** 31n - 1n],
  uint32: [0n, 2n ** 32n - 1n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint64: [0n, 2n ** 64n - 1n],
} as const;
type IntegerKind = keyof typeof INTEGER_BOUNDS;

/** A number with more digits cannot be a 64-bit integer, whatever its exponent is. */
const MAX_DIGITS = 20;

function descriptorOf(type: string): MessageDescriptor {
  return defined(messages[type], 'the type of a message field has a descriptor');
}

function defaultOf(field: FieldDescriptor): unknown {
  if (field.repeated === true) return [];
  switch (field.kind) {
    case 'message':
      return undefined;
    case 'string':
      return '';
    case 'bytes':
      return EMPTY;
    case 'bool':
      return false;
    case 'int64Big':
    case 'uint64Big':
      return 0n;
    default:
      return 0;
  }
}

function emptyMessage(descriptor: MessageDescriptor): Message {
  const message: Message = {};
  for (const field of descriptor.fields) {
    if (field.oneof === undefined) message[field.name] = defaultOf(field);
    else message[field.oneof] = undefined;
  }
  return message;
}

/** Works in one pass. A regular expression would start again at each zero inside a long number. */
function withoutZerosAtEnd(digits: string): string {
  let end = digits.length;
  while (end > 0 && digits[end - 1] === '0') end--;
  return digits.slice(0, end);
}

/** The name comes from clients, so it may be a property of all objects, such as `constructor`. */
function enumNumber(type: string, name: string): number | undefined {
  const numbers = enums[type] ?? {};
  return Object.hasOwn(numbers, name) ? numbers[name] : undefined;
}

/** The value of an integral number, exponents included; undefined for fractions. */
function parseInteger(text: string): bigint | undefined {
  const match = /^(-?)(0|[1-9]\d*)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (match === null) return undefined;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
  const digits = (whole + fraction).replace(/^0+/, '');
  const trimmed = withoutZerosAtEnd(digits);
  const shift = Number(exponent) - fraction.length + (digits.length - trimmed.length);
  if (trimmed === '') return 0n;
  if (shift < 0 || trimmed.length + shift > MAX_DIGITS) return undefined;
  return BigInt(sign + trimmed) * 10n ** BigInt(shift);
}

function decodeBase64(text: string): Buffer | undefined {
  const urlSafe = text.includes('-') || text.includes('_');
  const compact = /[\r\n]/.test(text) ? text.replace(/[\r\n]/g, '') : text;
  const padded = text.length % 4 === 0;
  const alphabet = urlSafe ? /^[A-Za-z0-9_-]*(={0,2})$/ : /^[A-Za-z0-9+/]*(={0,2})$/;
  const padding = alphabet.exec(compact)?.[1];
  if (
    padding === undefined ||
    (padded ? compact.length % 4 !== 0 : padding !== '' || compact.length % 4 === 1)
  ) {
    return undefined;
  }
  return Buffer.from(compact, urlSafe ? 'base64url' : 'base64');
}

class Decoder {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  #raw(value: JsonValue): string {
    if (value.kind === 'object' || value.kind === 'array') return this.#text.charAt(value.start);
    return this.#text.slice(value.start, value.end);
  }

  #position(offset: number): string {
    return positionAfter(this.#text.slice(0, offset));
  }

  #refuse(offset: number, text: string): never {
    throw new JsonError(`proto: ${this.#position(offset)}: ${text}`);
  }

  #unexpected(value: JsonValue): never {
    throw new JsonError(
      `proto: syntax error ${this.#position(value.start)}: unexpected token ${this.#raw(value)}`,
    );
  }

  message(type: string, value: JsonValue): Message {
    if (value.kind !== 'object') this.#unexpected(value);
    const descriptor = descriptorOf(type);
    const message = emptyMessage(descriptor);
    const seen = new Set<FieldDescriptor>();
    for (const member of value.members) {
      const field =
        descriptor.fields.find((each) => each.jsonName === member.name) ??
        descriptor.fields.find((each) => each.protoName === member.name);
      if (field === undefined) continue;
      if (seen.has(field)) this.#refuse(member.start, `duplicate field ${member.raw}`);
      seen.add(field);
      if (member.value.kind !== 'null') this.#field(type, descriptor, message, field, member);
    }
    return message;
  }

  #field(
    type: string,
    descriptor: MessageDescriptor,
    message: Message,
    field: FieldDescriptor,
    member: JsonMember,
  ): void {
    if (field.repeated === true) {
      message[field.name] = this.#list(field, member.value);
      return;
    }
    if (field.oneof === undefined) {
      message[field.name] = this.#single(field, member.value) ?? message[field.name];
      return;
    }
    if (message[field.oneof] !== undefined) {
      const oneof = `${type}.${descriptor.oneofs?.[field.oneof] ?? ''}`;
      this.#refuse(member.start, `error parsing ${member.raw}, oneof ${oneof} is already set`);
    }
    message[field.oneof] = { case: field.name, value: this.#single(field, member.value) };
  }

  #list(field: FieldDescriptor, value: JsonValue): unknown[] {
    if (value.kind !== 'array') this.#unexpected(value);
    return value.items.map((item) => this.#single(field, item)).filter((item) => item !== undefined);
  }

  /** Returns undefined for an unknown enum name. */
  #single(field: FieldDescriptor, value: JsonValue): unknown {
    switch (field.kind) {
      case 'message':
        return this.message(field.type ?? '', value);
      case 'string':
        if (value.kind === 'string') return value.value;
        break;
      case 'bool':
        if (value.kind === 'bool') return value.value;
        break;
      case 'bytes': {
        const bytes = value.kind === 'string' ? decodeBase64(value.value) : undefined;
        if (bytes !== undefined) return bytes;
        break;
      }
      case 'enum': {
        if (value.kind === 'string') return enumNumber(field.type ?? '', value.value);
        const number = value.kind === 'number' ? this.#integer('int32', value) : undefined;
        if (number !== undefined) return Number(number);
        break;
      }
      case 'int64Big':
      case 'uint64Big': {
        const integer = this.#integer(field.kind === 'int64Big' ? 'int64' : 'uint64', value);
        if (integer !== undefined) return integer;
        break;
      }
      default: {
        const integer = this.#integer(field.kind, value);
        if (integer !== undefined) return Number(integer);
      }
    }
    const kind = field.kind.replace('Big', '');
    return this.#refuse(
      value.start,
      `invalid value for ${kind} field ${field.jsonName}: ${this.#raw(value)}`,
    );
  }

  #integer(kind: IntegerKind, value: JsonValue): bigint | undefined {
    if (value.kind !== 'number' && value.kind !== 'string') return undefined;
    const integer = parseInteger(value.kind === 'string' ? value.value : this.#raw(value));
    const [least, most] = INTEGER_BOUNDS[kind];
    return integer === undefined || integer < least || integer > most ? undefined : integer;
  }
}

/** Throws Go's error for a text with invalid UTF-8. It names the first string with such bytes. */
function refuseInvalidUtf8(bytes: Buffer): never {
  const text = bytes.toString('latin1').replace(/^[ \t\r\n]+/, '');
  const visit = (value: JsonValue): void => {
    if (value.kind === 'string') check(value.start, value.end);
    else if (value.kind === 'array') value.items.forEach(visit);
    else if (value.kind === 'object') {
      for (const member of value.members) {
        check(member.start, member.start + member.raw.length);
        visit(member.value);
      }
    }
  };
  const check = (start: number, end: number): void => {
    const part = Buffer.from(text.slice(start, end), 'latin1');
    if (part.equals(Buffer.from(part.toString()))) return;
    const before = Buffer.from(text.slice(0, start), 'latin1').toString();
    throw new JsonError(`proto: syntax error ${positionAfter(before)}: invalid UTF-8 in string`);
  };
  visit(readJson(text, 'bytes'));
  throw new JsonError('proto: syntax error: invalid UTF-8');
}

/** Formats line and column, both from 1; the column counts characters. */
function positionAfter(before: string): string {
  const lines = before.split('\n');
  return `(line ${lines.length}:${Array.from(lines.at(-1) ?? '').length + 1})`;
}

/**
 * Decodes a message for its codec. A blank text is an empty message. Text after the first value is ignored.
 *
 * @param type full name, such as `etcdserverpb.RangeRequest`
 * @throws JsonError
 */
export function decodeJson(type: string, given: string | Buffer): Record<string, unknown> {
  const text = given.toString();
  if (typeof given !== 'string' && text.includes('\ufffd') && !given.equals(Buffer.from(text)))
    refuseInvalidUtf8(given);
  // Positions are counted from the start of the value, without the white space before it.
  const trimmed = text.replace(/^[ \t\r\n]+/, '');
  if (trimmed === '') return emptyMessage(descriptorOf(type));
  return new Decoder(trimmed).message(type, readJson(trimmed));
}
