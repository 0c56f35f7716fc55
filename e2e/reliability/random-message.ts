import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import type { SeededRandom } from '../../src/lib/seeded-random.ts';
import { repositoryRoot } from '../harness/paths.ts';

const DEPTH = 4;
const LONGEST = 3;
const INTEGERS = [0, 1, -1, 2, 7, 100, 65_536, 2 ** 31 - 1, -(2 ** 31), 2 ** 32 - 1];
const LONGS = ['9223372036854775807', '-9223372036854775808', '9007199254740993', '18446744073709551615'];
const TEXTS = [
  '',
  '\0',
  'root',
  'a',
  'k',
  '3.6.0',
  '-1',
  'http://127.0.0.1:1',
  '/',
  'ü'.repeat(200),
  'x'.repeat(40_000),
];

/** Generates messages of the protocol that are valid protobuf but have unusual values. */
export class RandomMessages {
  readonly #root = new protobuf.Root();
  readonly #random: SeededRandom;

  constructor(random: SeededRandom) {
    this.#random = random;
    const folder = join(repositoryRoot, 'proto');
    const common = join(repositoryRoot, 'node_modules/protobufjs');
    this.#root.resolvePath = (_, target) => join(target.startsWith('google/') ? common : folder, target);
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    this.#root.loadSync(files.filter((file) => file.endsWith('.proto')));
  }

  /** @param typeName with its package */
  encoded(typeName: string): Buffer {
    const type = this.#root.lookupType(typeName);
    const bytes = Buffer.from(type.encode(type.fromObject(this.#object(type, 0))).finish());
    return this.#random.chance(0.1) ? this.#damaged(bytes) : bytes;
  }

  #damaged(bytes: Buffer): Buffer {
    const cut = bytes.subarray(0, this.#random.int(bytes.length + 1));
    if (cut.length > 0) cut[this.#random.int(cut.length)] = this.#random.int(256);
    return cut;
  }

  #object(type: protobuf.Type, depth: number): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    for (const field of type.fieldsArray) {
      if (this.#random.chance(0.5)) continue;
      const one = (): unknown => this.#value(field.resolve(), depth);
      const value = field.repeated ? Array.from({ length: this.#random.int(LONGEST) }, one) : one();
      if (value !== undefined && !(field instanceof protobuf.MapField)) object[field.name] = value;
    }
    return object;
  }

  #value({ type, resolvedType }: protobuf.Field, depth: number): unknown {
    if (resolvedType instanceof protobuf.Type)
      return depth < DEPTH ? this.#object(resolvedType, depth + 1) : {};
    // Also one below and one above the known values.
    if (resolvedType instanceof protobuf.Enum)
      return this.#random.int(Object.keys(resolvedType.values).length + 2) - 1;
    switch (type) {
      case 'bool':
        return this.#random.chance(0.5);
      case 'string':
        return this.#random.pick(TEXTS);
      case 'bytes':
        return Buffer.from(this.#random.pick(TEXTS));
      case 'float':
      case 'double':
        return this.#random.pick([0, -1, Infinity, NaN]);
      case 'int64':
      case 'uint64':
      case 'sint64':
      case 'fixed64':
        return this.#random.chance(0.3) ? this.#random.pick(LONGS) : this.#random.pick(INTEGERS);
      default:
        return this.#random.pick(INTEGERS);
    }
  }
}
