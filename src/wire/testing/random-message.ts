import type { SeededRandom } from '../../lib/seeded-random.ts';
import { enums, messages } from '../gen/descriptors.ts';
import type { FieldDescriptor } from '../json-descriptor.ts';
import { EMPTY } from '../reader.ts';

type Message = Record<string, unknown>;

const strings = ['', 'a', 'etcd', 'ключ', '日本', '🗝️ emoji', '\ufffd', 'x'.repeat(200), 'é'.repeat(50)];
const numbers = [
  0,
  1,
  127,
  128,
  16_383,
  16_384,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 35,
  2 ** 49,
  2 ** 53 - 1,
];
const bigints = [0n, 1n, 127n, 128n, 2n ** 32n, 2n ** 52n - 1n, 2n ** 53n, 2n ** 56n, 2n ** 63n - 1n];

function scalar(random: SeededRandom, field: FieldDescriptor): unknown {
  const negative = random.chance(0.2);
  switch (field.kind) {
    case 'string':
      return random.pick(strings);
    case 'bytes':
      return random.chance(0.2) ? EMPTY : random.bytes(random.int(random.chance(0.1) ? 20_000 : 200));
    case 'bool':
      return random.chance(0.5);
    case 'enum':
      return random.pick(Object.values(enums[field.type ?? ''] ?? {}));
    case 'uint32':
      return random.chance(0.5) ? random.uint32() : random.int(300);
    case 'int32':
      return negative ? -random.int(2 ** 31) : random.int(2 ** 31);
    case 'uint64':
      return random.pick(numbers);
    case 'int64':
      return negative ? -random.pick(numbers.slice(1)) : random.pick(numbers);
    case 'uint64Big':
      return random.chance(0.5) ? random.uint64() : random.pick(bigints);
    case 'int64Big':
      return BigInt.asIntN(64, random.chance(0.5) ? random.uint64() : random.pick(bigints));
    case 'message':
      throw new TypeError('a message is no scalar');
  }
}

/** Returns a message with a random mix of set and unset fields. */
export function randomMessage(random: SeededRandom, type: string, depth = 0): Message {
  const descriptor = messages[type];
  if (descriptor === undefined) throw new TypeError(`no message ${type}`);
  const value = (field: FieldDescriptor): unknown =>
    field.kind === 'message' ? randomMessage(random, field.type ?? '', depth + 1) : scalar(random, field);
  const message: Message = {};
  for (const oneof of Object.keys(descriptor.oneofs ?? {})) message[oneof] = undefined;
  for (const field of descriptor.fields) {
    const present = field.kind !== 'message' || random.chance(depth > 3 ? 0 : depth === 0 ? 0.7 : 0.4);
    if (field.oneof !== undefined) {
      if (present && (message[field.oneof] === undefined || random.chance(0.3)))
        message[field.oneof] = { case: field.name, value: value(field) };
    } else if (field.repeated === true) {
      const count = present && random.chance(0.7) ? random.int(4) : 0;
      message[field.name] = Array.from({ length: count }, () => value(field));
    } else if (present) message[field.name] = value(field);
    else message[field.name] = undefined;
  }
  return message;
}
