/**
 * Messages to protobuf's JSON mapping, as etcd's gateway writes it: names as in proto/, fields with their default
 * left out but for members of a oneof, 64-bit integers as strings, bytes as base64, enums by name.
 */
import { defined } from '../lib/assert.ts';
import { enums, messages } from './gen/descriptors.ts';
import type { FieldDescriptor } from './json-descriptor.ts';

type Message = Readonly<Record<string, unknown>>;

const enumNames = new Map<string, ReadonlyMap<number, string>>();

function enumName(type: string, value: number): string {
  let names = enumNames.get(type);
  if (names === undefined) {
    names = new Map(Object.entries(enums[type] ?? {}).map(([name, number]) => [number, name]));
    enumNames.set(type, names);
  }
  const name = names.get(value);
  return name === undefined ? String(value) : `"${name}"`;
}

function isDefault(value: unknown): boolean {
  return (
    value === undefined ||
    value === 0 ||
    value === 0n ||
    value === false ||
    value === '' ||
    ((Buffer.isBuffer(value) || Array.isArray(value)) && value.length === 0)
  );
}

function encodeValue(field: FieldDescriptor, value: unknown): string {
  if (field.kind === 'message') return encodeJson(field.type ?? '', value as Message);
  if (Buffer.isBuffer(value)) return `"${value.toString('base64')}"`;
  if (typeof value === 'bigint') return `"${value}"`;
  if (typeof value === 'number') {
    if (field.kind === 'enum') return enumName(field.type ?? '', value);
    return field.kind === 'int64' || field.kind === 'uint64' ? `"${BigInt(value)}"` : String(value);
  }
  return JSON.stringify(value);
}

/**
 * Writes a message of its codec's shape, without white space.
 *
 * @param type full name, as `etcdserverpb.RangeResponse`
 */
export function encodeJson(type: string, message: Message): string {
  const descriptor = defined(messages[type], 'a message has a descriptor');
  const parts: string[] = [];
  for (const field of descriptor.fields) {
    let text: string | undefined;
    if (field.oneof !== undefined) {
      const held = message[field.oneof] as { case: string; value: unknown } | undefined;
      if (held?.case === field.name) text = encodeValue(field, held.value);
    } else {
      const value = message[field.name];
      if (isDefault(value)) continue;
      text = Array.isArray(value)
        ? `[${value.map((item) => encodeValue(field, item)).join(',')}]`
        : encodeValue(field, value);
    }
    if (text !== undefined) parts.push(`"${field.protoName}":${text}`);
  }
  return `{${parts.join(',')}}`;
}
