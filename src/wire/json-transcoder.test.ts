import { expect, it } from 'vitest';
import { SeededRandom } from '../lib/seeded-random.ts';
import { encodeJson, JsonTranscoder } from './json.ts';
import { RangeResponse } from './gen/etcdserverpb.ts';
import { allCodecs } from './testing/all-codecs.ts';
import { randomMessage } from './testing/random-message.ts';

function inPieces(type: string, bytes: Buffer, sizes: () => number): string {
  const transcoder = new JsonTranscoder(type, bytes.length);
  let text = bytes.length === 0 ? transcoder.push(bytes) : '';
  for (let at = 0; at < bytes.length;) {
    const to = Math.min(bytes.length, at + sizes());
    text += transcoder.push(bytes.subarray(at, to));
    at = to;
  }
  return text;
}

it('the result for every message equals that of the encoder, for any chunk sizes', () => {
  const random = new SeededRandom(7);
  for (const [name, codec] of allCodecs) {
    // proto2 messages also contain default values, and no client gets them as JSON.
    if (/^(raftpb|walpb|snappb)\./.test(name) || name === 'etcdserverpb.Metadata') continue;
    for (let round = 0; round < 20; round++) {
      const bytes = codec.encode(randomMessage(random, name));
      const whole = JSON.parse(encodeJson(name, codec.decode(bytes))) as unknown;
      for (const most of [1, 5, 1_000_000]) {
        const text = inPieces(name, bytes, () => 1 + random.int(most));
        expect(JSON.parse(text), `${name} ${text}`).toEqual(whole);
      }
    }
  }
});

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
