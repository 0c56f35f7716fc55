import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { generate } from '../../scripts/generate-wire.mjs';
import { messages } from './gen/descriptors.ts';
import { Reader } from './reader.ts';
import { allCodecs } from './testing/all-codecs.ts';
import { compareWithProtobufjs, decodeDamaged, names } from './testing/compare-codecs.ts';
import { WireError } from './wire-error.ts';

describe('against protobufjs', () => {
  it('there is a codec for every message of proto/', () => {
    expect(names.sort()).toEqual(Object.keys(messages).sort());
    expect(names.length).toBeGreaterThan(100);
  });

  it.each(names)('%s', (name) => compareWithProtobufjs(name, 8));
});

describe('invalid input', () => {
  it('random bytes, truncations and flipped bits are either read or refused', () => decodeDamaged(500));

  it.each([
    ['a cut varint', '08ff', 'unexpected EOF'],
    ['a varint of eleven bytes', '08' + 'ff'.repeat(10) + '01', 'variable length integer overflow'],
    ['a varint of more than 64 bits', '08' + 'ff'.repeat(9) + '02', 'variable length integer overflow'],
    ['a length past the end', '0a05' + '61', 'unexpected EOF'],
    ['a length of 2^63', '0a' + '80'.repeat(9) + '01', 'unexpected EOF'],
    ['field number zero', '0001', 'invalid field number'],
    ['a field number past the largest', '8080808010' + '00', 'invalid field number'],
    ['an end of no group', '0c', 'cannot parse invalid wire-format data'],
    ['wire type 6', '0e00', 'cannot parse invalid wire-format data'],
    ['a group that ends as another', '2b080134', 'mismatching end group marker'],
    ['a group without an end', '2b0801', 'unexpected EOF'],
  ])('%s', (_what, hex, text) => {
    expect(() => allCodecs.get('mvccpb.KeyValue')!.decode(Buffer.from(hex, 'hex'))).toThrow(text);
  });

  it('a nested message may not run past its end', () => {
    expect(() => allCodecs.get('mvccpb.Event')!.decode(Buffer.from('12030a05616263646566', 'hex'))).toThrow(
      WireError,
    );
  });

  it('deep nesting is refused before the stack overflows', () => {
    let bytes: Buffer = Buffer.alloc(0);
    const codec = allCodecs.get('etcdserverpb.TxnRequest')!;
    const wrap = (inner: Buffer, tag: number): Buffer => {
      const head = new protobuf.Writer().uint32(tag).uint32(inner.length).finish();
      return Buffer.concat([head, inner]);
    };
    for (let depth = 0; depth < 480; depth += 1) bytes = wrap(wrap(bytes, 34), 18);
    const decoded = codec.decode(bytes);
    expect(codec.encode(decoded).equals(bytes)).toBe(true);
    for (let depth = 0; depth < 12_000; depth += 1) bytes = wrap(wrap(bytes, 34), 18);
    expect(() => codec.decode(bytes)).toThrow('exceeded maximum recursion depth');
    const groups = Buffer.alloc(100_000, 0x2b);
    expect(() => codec.decode(groups)).toThrow('exceeded maximum recursion depth');
  });

  it('strings that are not UTF-8', () => {
    const codec = allCodecs.get('etcdserverpb.AuthRoleAddRequest')!;
    expect(() => codec.decode(Buffer.from('0a02c328', 'hex'))).toThrow('string field contains invalid UTF-8');
    expect(codec.decode(Buffer.from('0a03efbfbd', 'hex'))).toEqual({ name: '\ufffd' });
  });
});

it('clients get the same error texts as from etcd', () => {
  const answerTo = (name: string, hex: string): string => {
    try {
      allCodecs.get(`etcdserverpb.${name}`)!.decode(Buffer.from(hex, 'hex'));
    } catch (error) {
      if (error instanceof WireError) return error.answer;
    }
    return '';
  };
  expect(answerTo('RangeRequest', '08ff')).toBe('proto: cannot parse invalid wire-format data');
  expect(answerTo('AuthRoleAddRequest', '0a02c328')).toBe('string field contains invalid UTF-8');
  expect(answerTo('RangeRequest', '2b'.repeat(20_000))).toBe('proto: exceeded maximum recursion depth');
});

describe('valid but unusual input', () => {
  it('unknown fields of every wire type are skipped', () => {
    const unknown =
      'f83f01' + 'f93f0102030405060708' + 'fa3f03616263' + 'fb3f' + '080a' + 'fc3f' + 'fd3f01020304';
    const codec = allCodecs.get('mvccpb.KeyValue')!;
    const bytes = Buffer.from(unknown + '0a016b' + unknown + '1005' + unknown, 'hex');
    expect(codec.decode(bytes)).toEqual({ ...codec.create(), key: Buffer.from('k'), createRevision: 5 });
  });

  it('a known field with another wire type is treated as unknown', () => {
    const codec = allCodecs.get('mvccpb.KeyValue')!;
    expect(codec.decode(Buffer.from('0805' + '1a0161', 'hex'))).toEqual(codec.create());
  });

  it('the last value of a scalar wins, nested messages are merged', () => {
    const codec = allCodecs.get('mvccpb.Event')!;
    const decoded = codec.decode(Buffer.from('0801' + '0800' + '12030a016b' + '12021005', 'hex'));
    const kv = allCodecs.get('mvccpb.KeyValue')!.create();
    expect(decoded).toEqual({
      type: 0,
      kv: { ...kv, key: Buffer.from('k'), createRevision: 5 },
      prevKv: undefined,
    });
  });

  it('lists can be packed or not', () => {
    const codec = allCodecs.get('etcdserverpb.WatchCreateRequest')!;
    const expected = { ...codec.create(), filters: [0, 1, 1] };
    expect(codec.decode(Buffer.from('2a03000101', 'hex'))).toEqual(expected);
    expect(codec.decode(Buffer.from('280028012801', 'hex'))).toEqual(expected);
  });
});

describe('64-bit integers', () => {
  it('identities are exact', () => {
    const codec = allCodecs.get('etcdserverpb.LeaseGrantRequest')!;
    for (const id of [0n, 1n, -1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)])
      expect(codec.decode(codec.encode({ ...codec.create(), id }))).toMatchObject({ id });
  });

  it('counts above 2^53 are read as the nearest double and written within bounds', () => {
    const codec = allCodecs.get('etcdserverpb.CompactionRequest')!;
    const largest = Buffer.from('08' + 'ff'.repeat(8) + '7f', 'hex');
    expect(codec.decode(largest)).toMatchObject({ revision: 2 ** 63 });
    expect(codec.encode(codec.decode(largest)).equals(largest)).toBe(true);
    const least = Buffer.from('08' + '80'.repeat(9) + '01', 'hex');
    expect(codec.decode(least)).toMatchObject({ revision: -(2 ** 63) });
    expect(codec.encode(codec.decode(least)).equals(least)).toBe(true);
    const header = allCodecs.get('etcdserverpb.RequestHeader')!;
    const unsigned = Buffer.from('18' + 'ff'.repeat(9) + '01', 'hex');
    expect(header.decode(unsigned)).toMatchObject({ authRevision: 2 ** 64 });
    expect(header.encode(header.decode(unsigned)).equals(unsigned)).toBe(true);
  });

  it('a fraction is a program error', () => {
    const codec = allCodecs.get('etcdserverpb.CompactionRequest')!;
    expect(() => codec.encode({ ...codec.create(), revision: 1.5 })).toThrow('invariant');
  });
});

it('decoded bytes are views, from any kind of array', () => {
  const bytes = new Uint8Array([0x0a, 0x01, 0x6b]);
  const decoded = allCodecs.get('mvccpb.KeyValue')!.decode(bytes) as { key: Buffer };
  expect(decoded.key.buffer).toBe(bytes.buffer);
  expect(new Reader(bytes).length).toBe(3);
});

it('the generated code is up to date', () => {
  for (const [path, text] of generate())
    expect(readFileSync(resolve(import.meta.dirname, '../..', path), 'utf8'), path).toBe(text);
});
