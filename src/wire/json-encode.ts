/**
 * Encodes messages in protobuf's JSON mapping like etcd's gateway. Names are those of proto/. Fields with their default
 * value are omitted, except members of a oneof. 64-bit integers are strings, bytes are base64, enums are names.
 */
import { defined } from '../lib/assert.ts';
import { messages } from './gen/descriptors.ts';
import type { FieldDescriptor } from './json-descriptor.ts';
import { enumText } from './json-scalar.ts';

type Message = Readonly<Record<string, unknown>>;

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
    if (field.kind === 'enum') return enumText(field.type ?? '', value);
    return field.kind === 'int64' || field.kind === 'uint64' ? `"${BigInt(value)}"` : String(value);
  }
  return JSON.stringify(value);
}

/**
 * Encodes a message without white space.
 *
 * @param type full name, such as `etcdserverpb.RangeResponse`
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
