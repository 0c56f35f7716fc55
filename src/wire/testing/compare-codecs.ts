import { expect } from 'vitest';
import type protobuf from 'protobufjs';
import { loadProtos } from '../../../scripts/generate-wire.mjs';
import { SeededRandom } from '../../lib/seeded-random.ts';
import { messages } from '../gen/descriptors.ts';
import type { FieldDescriptor } from '../json-descriptor.ts';
import { WireError } from '../wire-error.ts';
import { allCodecs } from './all-codecs.ts';
import { randomMessage } from './random-message.ts';

const protos = loadProtos();
export const names = [...allCodecs.keys()];

type Message = Record<string, unknown>;

/** Go writes oneofs after all other fields, protobufjs by number. These messages contain a Compare, where it matters. */
const oneofsElsewhere = new Set(
  ['Compare', 'RequestOp', 'TxnRequest', 'InternalRaftRequest'].map((name) => `etcdserverpb.${name}`),
);

/** protobufjs writes every field that is set. This removes fields that are zero. */
function toReference(type: string, message: Message): Message {
  const result: Message = {};
  const reference = protos.lookupType(type);
  const proto2 =
    ['raftpb', 'walpb', 'snappb'].includes(type.split('.')[0]!) || type === 'etcdserverpb.Metadata';
  const convert = (field: FieldDescriptor, value: unknown): unknown => {
    if (field.kind === 'message') return toReference(field.type!, value as Message);
    return typeof value === 'bigint' || typeof value === 'number' ? longOf(reference, field, value) : value;
  };
  for (const field of messages[type]!.fields) {
    if (field.oneof !== undefined) {
      const held = message[field.oneof] as { case: string; value: unknown } | undefined;
      if (held?.case === field.name) result[field.protoName] = convert(field, held.value);
      continue;
    }
    const value = message[field.name];
    if (value === undefined) continue;
    if (field.repeated === true) {
      result[field.protoName] = (value as unknown[]).map((item) => convert(field, item));
      continue;
    }
    const zero =
      value === 0 || value === 0n || value === false || value === '' || (value as Buffer).length === 0;
    const omitted = ['raftpb.Entry.Type', 'raftpb.ConfChange.id'].includes(`${type}.${field.protoName}`);
    if (zero && (!proto2 || omitted)) continue;
    result[field.protoName] = convert(field, value);
  }
  return result;
}

function longOf(reference: protobuf.Type, field: FieldDescriptor, value: bigint | number): unknown {
  const { type } = reference.fields[field.protoName]!;
  if (type !== 'int64' && type !== 'uint64') return Number(value);
  const bits = BigInt.asUintN(64, BigInt(value));
  return { low: Number(bits & 0xffff_ffffn), high: Number(bits >> 32n), unsigned: type === 'uint64' };
}

/** Encodes and decodes random messages of a type with its codec and with protobufjs, and compares the bytes. */
export function compareWithProtobufjs(name: string, rounds: number): void {
  const codec = allCodecs.get(name)!;
  const reference = protos.lookupType(name);
  const random = new SeededRandom(names.indexOf(name));
  for (let round = 0; round < rounds; round += 1) {
    const message = randomMessage(random, name);
    const bytes = codec.encode(message);
    const expected = reference.encode(reference.fromObject(toReference(name, message))).finish();
    const hex = `${name}: ${bytes.toString('hex')}`;
    if (!oneofsElsewhere.has(name)) expect(bytes.equals(expected), hex).toBe(true);
    expect(Buffer.from(reference.encode(reference.decode(bytes)).finish()).equals(expected), hex).toBe(true);
    expect(codec.size(message)).toBe(bytes.length);
    const decoded = codec.decode(expected);
    expect(codec.encode(decoded).equals(bytes)).toBe(true);
    expect(Object.keys(decoded).sort()).toEqual(Object.keys(codec.create()).sort());
  }
}

function decodeOrRefuse(name: string, bytes: Buffer): void {
  try {
    allCodecs.get(name)!.decode(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(WireError);
    expect((error as Error).message).not.toBe('');
  }
}

/** Random bytes, truncated messages and flipped bits must be read, or refused with a WireError. */
export function decodeDamaged(rounds: number): void {
  const random = new SeededRandom(99);
  for (let round = 0; round < rounds; round += 1) {
    const name = random.pick(names);
    decodeOrRefuse(name, random.bytes(random.int(60)));
    const bytes = Buffer.from(allCodecs.get(name)!.encode(randomMessage(random, name)));
    decodeOrRefuse(name, bytes.subarray(0, random.int(bytes.length + 1)));
    if (bytes.length > 0) bytes[random.int(bytes.length)]! ^= 1 << random.int(8);
    decodeOrRefuse(name, bytes);
  }
}
