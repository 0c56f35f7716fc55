import { expect, it } from 'vitest';
import { RangeResponse } from './gen/etcdserverpb.ts';
import { JsonTranscoder } from './json.ts';
import { compareTranscoder } from './testing/compare-json.ts';

it('the result for every message equals that of the encoder, for any chunk sizes', () =>
  compareTranscoder(2));

it('a long value is written in parts as it arrives', () => {
  const value = Buffer.alloc(3_000_001, 'v');
  const kv = { key: Buffer.from('k'), createRevision: 2, modRevision: 2, version: 1, value, lease: 0n };
  const bytes = RangeResponse.encode(RangeResponse.create({ kvs: [kv, kv], count: 2 }));
  const transcoder = new JsonTranscoder('etcdserverpb.RangeResponse', bytes.length);
  const texts: string[] = [];
  for (let at = 0; at < bytes.length; at += 65_536)
    texts.push(transcoder.push(bytes.subarray(at, at + 65_536)));
  expect(Math.max(...texts.map((text) => text.length))).toBeLessThan(90_000);
  const read = JSON.parse(texts.join('')) as { kvs: { value: string }[]; count: string };
  expect(read.count).toBe('2');
  expect(read.kvs.map((each) => Buffer.from(each.value, 'base64').equals(value))).toEqual([true, true]);
});
