import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeJson, encodeJson, JsonError } from './json.ts';
import { allCodecs } from './testing/all-codecs.ts';
import { compareAfterJson, proto3 } from './testing/compare-json.ts';

it('every message can be decoded from its JSON', () => compareAfterJson(2));

const vectors = JSON.parse(
  readFileSync(resolve(import.meta.dirname, 'testdata/go-vectors.json'), 'utf8'),
) as { type: string; name: string; hex: string; json: unknown }[];

it.each(vectors.filter(({ type }) => proto3.includes(type)).map((v) => [v.type, v.name, v] as const))(
  '%s %s: the JSON that Go writes',
  (type, _name, { hex, json }) => {
    const message = allCodecs.get(type)!.decode(Buffer.from(hex, 'hex'));
    expect(encodeJson(type, message)).toBe(JSON.stringify(json));
  },
);

describe('input that etcd’s gateway accepts', () => {
  const range = (text: string): Record<string, unknown> => decodeJson('etcdserverpb.RangeRequest', text);

  it.each(['constructor', 'toString', '__proto__'])('unknown enum names: %s', (name) => {
    expect(range(`{"sort_order":"${name}"}`)).toEqual(range('{}'));
    const watch = decodeJson('etcdserverpb.WatchRequest', `{"create_request":{"filters":["${name}"]}}`);
    expect(watch).toEqual(decodeJson('etcdserverpb.WatchRequest', '{"create_request":{}}'));
  });
  it.each([
    ['', {}],
    [' \n', {}],
    ['{}', {}],
    ['{"key":"Zm9v"}', { key: Buffer.from('foo') }],
    ['{"key":"Zm8"}', { key: Buffer.from('fo') }],
    ['{"key":"Zm9v-_"}', { key: Buffer.from([0x66, 0x6f, 0x6f, 0xfb]) }],
    ['{"key":"++//"}', { key: Buffer.from([0xfb, 0xef, 0xff]) }],
    ['{"key":"\\u0059Q"}', { key: Buffer.from('a') }],
    ['{"key":"YQ"} x', { key: Buffer.from('a') }],
    ['{"bogus":[{"b":[]}],"limit":"7"}', { limit: 7 }],
    ['{"limit":1e2}', { limit: 100 }],
    ['{"limit":"1.0e1"}', { limit: 10 }],
    ['{"limit":-0}', { limit: 0 }],
    ['{"limit":-5,"keysOnly":true}', { limit: -5, keysOnly: true }],
    ['{"limit":null,"keys_only":null}', {}],
    ['{"sort_order":"UP"}', {}],
    ['{"sort_order":"ASCEND","sortTarget":2}', { sortOrder: 1, sortTarget: 2 }],
    ['{"sort_order":9}', { sortOrder: 9 }],
    ['{"Key":"YQ"}', {}],
  ])('%s', (text, expected) => {
    expect(range(text)).toEqual({ ...allCodecs.get('etcdserverpb.RangeRequest')!.create(), ...expected });
  });

  it('identities are exact, from strings and from numbers', () => {
    for (const text of ['9223372036854775807', '"9223372036854775807"'])
      expect(decodeJson('etcdserverpb.LeaseGrantRequest', `{"ID":${text}}`)).toEqual({
        id: 2n ** 63n - 1n,
        ttl: 0,
      });
  });

  it('a transaction with both kinds of names', () => {
    const text = `{"compare":[{"key":"Zm9v","target":"VERSION","version":"1"}],
      "success":[{"requestRange":{"key":"Zm9v"}},{"request_put":{"key":"YQ==","prev_kv":true}}]}`;
    const codec = allCodecs.get('etcdserverpb.TxnRequest')!;
    const written = encodeJson(
      'etcdserverpb.TxnRequest',
      codec.decode(codec.encode(decodeJson(codec.typeName, text))),
    );
    expect(written).toBe(
      '{"compare":[{"key":"Zm9v","version":"1"}],' +
        '"success":[{"request_range":{"key":"Zm9v"}},{"request_put":{"key":"YQ==","prev_kv":true}}]}',
    );
  });
});

/** Texts and errors recorded from etcd 3.7.1. */
describe('input that etcd’s gateway refuses', () => {
  it.each([
    ['{"key":}', `invalid character '}' looking for beginning of value`],
    ['{key:1}', `invalid character 'k' looking for beginning of object key string`],
    ['{"a" 1}', `invalid character '1' after object key`],
    ['{"a":1 "b":2}', `invalid character '"' after object key:value pair`],
    ['{"a":[1 2]}', `invalid character '2' after array element`],
    ['{"a":tru}', `invalid character '}' in literal true (expecting 'e')`],
    ['{"a":"x\ny"}', `invalid character '\\n' in string literal`],
    ['{"a":"\\q"}', `invalid character 'q' in string escape code`],
    ['{"a":"\\u12g4"}', `invalid character 'g' in \\u hexadecimal character escape`],
    ['{"a":01}', `invalid character '1' after object key:value pair`],
    ['{"a":-x}', `invalid character 'x' in numeric literal`],
    ['{"a":1.x}', `invalid character 'x' after decimal point in numeric literal`],
    ['{"a":1ex}', `invalid character 'x' in exponent of numeric literal`],
    ['null', 'proto: syntax error (line 1:1): unexpected token null'],
    ['"s"', 'proto: syntax error (line 1:1): unexpected token "s"'],
    ['5', 'proto: syntax error (line 1:1): unexpected token 5'],
    ['[]', 'proto: syntax error (line 1:1): unexpected token ['],
    ['{"a":1,}', `invalid character '}' looking for beginning of object key string`],
    ['[1,]', `invalid character ']' looking for beginning of value`],
    ['{"a"', 'unexpected EOF'],
    ['{', 'unexpected EOF'],
    ['{"key":"Zm9v","bogus":1', 'unexpected EOF'],
    ['x', `invalid character 'x' looking for beginning of value`],
    ['{"sort_order":1.5}', 'proto: (line 1:15): invalid value for enum field sortOrder: 1.5'],
    ['{"sort_order":true}', 'proto: (line 1:15): invalid value for enum field sortOrder: true'],
    ['{"limit":" 1"}', 'proto: (line 1:10): invalid value for int64 field limit: " 1"'],
    [
      '{"limit":99999999999999999999}',
      'proto: (line 1:10): invalid value for int64 field limit: 99999999999999999999',
    ],
    [
      '{"limit":9223372036854775808}',
      'proto: (line 1:10): invalid value for int64 field limit: 9223372036854775808',
    ],
    ['{"limit":{}}', 'proto: (line 1:10): invalid value for int64 field limit: {'],
    ['{"limit":[1]}', 'proto: (line 1:10): invalid value for int64 field limit: ['],
    ['{"limit":"0x1"}', 'proto: (line 1:10): invalid value for int64 field limit: "0x1"'],
    ['{"limit":"01"}', 'proto: (line 1:10): invalid value for int64 field limit: "01"'],
    ['{"limit":""}', 'proto: (line 1:10): invalid value for int64 field limit: ""'],
    ['{"limit":1.5}', 'proto: (line 1:10): invalid value for int64 field limit: 1.5'],
    ['{"key":{}}', 'proto: (line 1:8): invalid value for bytes field key: {'],
    ['{"key":5}', 'proto: (line 1:8): invalid value for bytes field key: 5'],
    ['{"key":"%%%"}', 'proto: (line 1:8): invalid value for bytes field key: "%%%"'],
    ['{"key":"Y"}', 'proto: (line 1:8): invalid value for bytes field key: "Y"'],
    ['{"key":"YQ="}', 'proto: (line 1:8): invalid value for bytes field key: "YQ="'],
    ['{"key":"Y=Q="}', 'proto: (line 1:8): invalid value for bytes field key: "Y=Q="'],
    ['{"key":"YQ==\\n"}', 'proto: (line 1:8): invalid value for bytes field key: "YQ==\\n"'],
    ['{"key":"ab-+"}', 'proto: (line 1:8): invalid value for bytes field key: "ab-+"'],
    ['{"min_mod_revision":"x"}', 'proto: (line 1:21): invalid value for int64 field minModRevision: "x"'],
    ['{"limit":null,"limit":1}', 'proto: (line 1:15): duplicate field "limit"'],
    ['{"serializable":1}', 'proto: (line 1:17): invalid value for bool field serializable: 1'],
    ['\n{"key":"YQ",\n "limit":true}', 'proto: (line 2:10): invalid value for int64 field limit: true'],
    ['{"key":"YQ","é":"é","limit":true}', 'proto: (line 1:29): invalid value for int64 field limit: true'],
    ['['.repeat(100_000), "invalid character '[' exceeded max depth"],
  ])('%s', (text, message) => {
    expect(() => decodeJson('etcdserverpb.RangeRequest', text)).toThrow(new JsonError(message));
  });

  it.each([
    ['{"compare":{}}', 'proto: syntax error (line 1:12): unexpected token {'],
    ['{"compare":[1]}', 'proto: syntax error (line 1:13): unexpected token 1'],
    ['{"compare":[null]}', 'proto: syntax error (line 1:13): unexpected token null'],
    ['{"success":[{"request_put":5}]}', 'proto: syntax error (line 1:28): unexpected token 5'],
    [
      '{"success":[{"requestPut":{"key":"YQ"},"request_put":{}}]}',
      'proto: (line 1:40): duplicate field "request_put"',
    ],
    [
      '{"success":[{"requestPut":{"key":"YQ"},"request_range":{}}]}',
      'proto: (line 1:40): error parsing "request_range", oneof etcdserverpb.RequestOp.request is already set',
    ],
  ])('%s', (text, message) => {
    expect(() => decodeJson('etcdserverpb.TxnRequest', text)).toThrow(new JsonError(message));
  });
});

it('a long number with zeros inside is refused as fast as any other', () => {
  const startedMs = performance.now();
  for (const number of [`1${'0'.repeat(200_000)}1`, `0.${'0'.repeat(200_000)}1`])
    expect(() => decodeJson('etcdserverpb.RangeRequest', `{"limit":${number}}`)).toThrow(JsonError);
  expect(performance.now() - startedMs).toBeLessThan(2_000);
});

it('invalid UTF-8 and lone surrogates get etcd’s errors', () => {
  const range = (text: string | Buffer) => () => decodeJson('etcdserverpb.RangeRequest', text);
  const bytes = (before: string, after: string): Buffer =>
    Buffer.concat([Buffer.from(before), Buffer.from([0xff, 0xfe]), Buffer.from(after)]);
  const invalid = (column: number): JsonError =>
    new JsonError(`proto: syntax error (line 1:${column}): invalid UTF-8 in string`);
  expect(range(bytes('{"key":"Zm9v","keysOnly":true,"x":"', '"}'))).toThrow(invalid(35));
  expect(range(bytes('{"key":"Zm9v","keysOnly":true,"', '":1}'))).toThrow(invalid(31));
  expect(range(bytes('', '{}'))).toThrow(
    new JsonError("invalid character 'ÿ' looking for beginning of value"),
  );
  expect(range(Buffer.from('{"x":"\ufffd é"}'))()).toMatchObject({ limit: 0 });
  expect(range('{"x":"\\ud800"}')).toThrow(new JsonError('proto: unexpected EOF'));
  expect(range('{"x":"\\ud83d\\ude00"}')()).toMatchObject({ limit: 0 });
});
