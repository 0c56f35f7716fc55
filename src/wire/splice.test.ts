import { expect, it } from 'vitest';
import { SeededRandom } from '../lib/seeded-random.ts';
import { KeyValue } from './gen/mvccpb.ts';
import { encodeKeyValue, KeyValueView } from './key-value.ts';
import { randomMessage } from './testing/random-message.ts';
import { bigVarintSize, varintSize, writeBigVarint, writeVarint } from './varint.ts';

const random = new SeededRandom(11);

function randomKeyValue(): KeyValue {
  const kv = randomMessage(random, 'mvccpb.KeyValue') as unknown as KeyValue;
  const positive = (value: number): number => Math.abs(value);
  return {
    ...kv,
    createRevision: positive(kv.createRevision),
    modRevision: positive(kv.modRevision),
    version: positive(kv.version),
  };
}

it('KeyValue: the bytes equal those of the generated codec and can be read in place', () => {
  const view = new KeyValueView();
  for (let round = 0; round < 500; round += 1) {
    const kv = randomKeyValue();
    const bytes = encodeKeyValue(kv);
    expect(bytes.equals(KeyValue.encode(kv))).toBe(true);
    const { key, createRevision, modRevision, version, value, lease } = view.read(bytes);
    expect({ key, createRevision, modRevision, version, value, lease }).toEqual(kv);
  }
});

it('varints have the computed size, for numbers and bigints', () => {
  const target = Buffer.alloc(10);
  for (let bits = 0; bits < 64; bits += 1) {
    for (const value of [2n ** BigInt(bits) - 1n, 2n ** BigInt(bits)]) {
      const size = writeBigVarint(target, 0, value);
      expect(bigVarintSize(value)).toBe(size);
      const bytes = Buffer.from(target.subarray(0, size));
      if (value > BigInt(Number.MAX_SAFE_INTEGER)) continue;
      expect(writeVarint(target, 0, Number(value))).toBe(size);
      expect(varintSize(Number(value))).toBe(size);
      expect(target.subarray(0, size).equals(bytes)).toBe(true);
    }
  }
  expect(bigVarintSize(-1n)).toBe(10);
});
