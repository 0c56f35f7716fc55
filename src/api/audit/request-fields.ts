import { enums, messages } from '../../wire/gen/descriptors.ts';
import type { FieldDescriptor } from '../../wire/json-descriptor.ts';

export type AuditFields = Record<string, unknown>;

/**
 * The fields of a request that a line may show. Fields that are not listed never appear, above all values, passwords
 * and tokens.
 */
const TOLD: ReadonlySet<string> = new Set([
  ...['key', 'range_end', 'lease', 'ID', 'TTL', 'name', 'role', 'permType', 'peerURLs', 'isLearner'],
  ...['action', 'memberID', 'alarm', 'targetID', 'version', 'physical', 'start_revision', 'watch_id'],
]);
/** Nested messages whose fields are shown as if they were fields of the request. */
const OPENED: ReadonlySet<string> = new Set(['perm', 'leader', 'create_request']);
/**
 * Fields that are renamed because the line uses their names for the call itself: the revision of the response, the
 * user.
 */
const RENAMED: Readonly<Record<string, string>> = { revision: 'at_revision', user: 'target_user' };

const MAX_KEY_BYTES = 256;
/** Printable ASCII except the backslash. */
const PLAIN = /^[\x20-\x5b\x5d-\x7e]*$/;

/**
 * A key as text. Printable ASCII is kept, a backslash is doubled, and any other byte becomes `\xff`. A key is cut
 * after 256 bytes, and its length is added.
 */
export function keyText(key: Buffer): string {
  if (key.length <= MAX_KEY_BYTES) {
    const plain = key.toString('latin1');
    if (PLAIN.test(plain)) return plain;
  }
  let text = '';
  for (const byte of key.subarray(0, MAX_KEY_BYTES)) {
    if (byte === 0x5c) text += '\\\\';
    else if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else text += `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return key.length > MAX_KEY_BYTES ? `${text}... (${key.length} bytes)` : text;
}

/** The fields that a line shows for a request, in order. A transaction has `txnFields`. */
export function requestFields(type: string, message: object): AuditFields {
  const fields: AuditFields = {};
  collect(type, message as Readonly<Record<string, unknown>>, fields);
  return fields;
}

function collect(type: string, message: Readonly<Record<string, unknown>>, into: AuditFields): void {
  for (const field of messages[type]?.fields ?? []) {
    const { protoName } = field;
    const value = valueOf(message, field);
    if (OPENED.has(protoName)) {
      if (typeof value === 'object' && value !== null)
        collect(field.type ?? '', value as Readonly<Record<string, unknown>>, into);
    } else if (TOLD.has(protoName) || RENAMED[protoName] !== undefined) {
      const told = tell(field, value);
      if (told !== undefined) into[RENAMED[protoName] ?? protoName] = told;
    }
  }
}

function valueOf(message: Readonly<Record<string, unknown>>, field: FieldDescriptor): unknown {
  if (field.oneof === undefined) return message[field.name];
  const held = message[field.oneof] as { case: string; value: unknown } | undefined;
  return held?.case === field.name ? held.value : undefined;
}

/** Undefined for a field that is not set. */
function tell(field: FieldDescriptor, value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.length === 0 ? undefined : keyText(value);
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map((item) => tell(field, item));
  if (field.kind === 'enum') return enumName(field.type ?? '', Number(value));
  if (typeof value === 'bigint') return value === 0n ? undefined : String(value);
  return value === 0 || value === '' || value === false ? undefined : value;
}

function enumName(type: string, value: number): string | number {
  const named = Object.entries(enums[type] ?? {}).find(([, number]) => number === value);
  return named?.[0] ?? value;
}
