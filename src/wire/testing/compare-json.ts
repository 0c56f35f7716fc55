import { expect } from 'vitest';
import { SeededRandom } from '../../lib/seeded-random.ts';
import { decodeJson, encodeJson, JsonTranscoder } from '../json.ts';
import { allCodecs } from './all-codecs.ts';
import { randomMessage } from './random-message.ts';

/** proto2 messages also contain default values, and no client gets them as JSON. */
export const proto3 = [...allCodecs.keys()].filter(
  (name) => !/^(raftpb|walpb|snappb)\./.test(name) && name !== 'etcdserverpb.Metadata',
);

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

/** Transcodes random messages of all types in chunks of any size, and compares the JSON with that of the encoder. */
export function compareTranscoder(rounds: number): void {
  const random = new SeededRandom(7);
  for (const name of proto3) {
    const codec = allCodecs.get(name)!;
    for (let round = 0; round < rounds; round++) {
      const bytes = codec.encode(randomMessage(random, name));
      const whole = JSON.parse(encodeJson(name, codec.decode(bytes))) as unknown;
      for (const most of [1, 5, 1_000_000]) {
        const text = inPieces(name, bytes, () => 1 + random.int(most));
        expect(JSON.parse(text), `${name} ${text}`).toEqual(whole);
      }
    }
  }
}

/** Writes random messages of all types as JSON and reads them again. */
export function compareAfterJson(rounds: number): void {
  const random = new SeededRandom(5);
  for (const name of proto3) {
    const codec = allCodecs.get(name)!;
    for (let round = 0; round < rounds; round += 1) {
      const message = codec.decode(codec.encode(randomMessage(random, name)));
      const text = encodeJson(name, message);
      expect(() => JSON.parse(text) as unknown).not.toThrow();
      const read = decodeJson(name, text);
      expect(codec.encode(read).equals(codec.encode(message)), text).toBe(true);
      expect(Object.keys(read).sort()).toEqual(Object.keys(codec.create()).sort());
    }
  }
}
