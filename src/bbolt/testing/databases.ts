import { expect } from 'vitest';
import { SeededRandom } from '../../lib/seeded-random.ts';
import { BoltFormatError } from '../errors.ts';
import { BoltReader, type BucketReader, type ByteSource } from '../reader.ts';
import { type BucketContents, databaseChunks, type Element, measureDatabase } from '../writer.ts';

export function inMemory(bytes: Buffer): ByteSource {
  return {
    size: bytes.length,
    read: (position, length) => Buffer.from(bytes.subarray(position, position + length)),
  };
}

export function write(root: BucketContents, pageSize = 4096, chunkBytes = 64 << 10): Buffer {
  const layout = measureDatabase(root, pageSize);
  const file = Buffer.concat([...databaseChunks(root, layout, chunkBytes)]);
  expect(file.length).toBe(layout.totalBytes);
  return file;
}

export type Plain = { key: string; value: string } | { key: string; bucket: Plain[] };

export function plain(elements: Iterable<Element>): Plain[] {
  return [...elements].map((element) =>
    'bucket' in element
      ? { key: element.key.toString('hex'), bucket: plain(element.bucket.elements()) }
      : { key: element.key.toString('hex'), value: element.value.toString('hex') },
  );
}

export function readAll(bucket: BucketReader): Plain[] {
  return [...bucket.elements()].map(({ key, value, isBucket }) =>
    isBucket
      ? { key: key.toString('hex'), bucket: readAll(bucket.open(key, value)) }
      : { key: key.toString('hex'), value: value.toString('hex') },
  );
}

export function bucketOf(elements: Element[], sequence = 0n): BucketContents {
  return { sequence, elements: () => elements };
}

export function randomBucket(random: SeededRandom, depth: number, largest: number): BucketContents {
  const count = random.int(10) === 0 ? 0 : random.int([5, 50, 1500][random.int(3)] ?? 5);
  const keys = new Map<string, Buffer>();
  for (let n = 0; n < count; n += 1) {
    const key = random.bytes(1 + random.int(random.int(20) === 0 ? 3000 : 24));
    keys.set(key.toString('hex'), key);
  }
  const elements = [...keys.values()]
    .sort((a, b) => Buffer.compare(a, b))
    .map((key): Element => {
      if (depth > 0 && random.int(150) === 0)
        return { key, bucket: randomBucket(random, depth - 1, largest) };
      const size = random.int(30) === 0 ? random.int(largest) : random.int(200);
      return { key, value: random.bytes(random.int(10) === 0 ? 0 : size) };
    });
  return bucketOf(elements, BigInt(random.int(5)));
}

export const numbered = (count: number, valueBytes: number): Element[] =>
  Array.from({ length: count }, (_, n) => {
    const key = Buffer.alloc(17);
    key.writeUInt32BE(n, 4);
    return { key, value: Buffer.alloc(valueBytes, n) };
  });

/** A database of 3000 keys in several levels of pages. */
export const file = write(bucketOf([{ key: Buffer.from('key'), bucket: bucketOf(numbered(3000, 300)) }]));

export function damaged(change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(file);
  change(copy);
  return copy;
}

export const reading = (bytes: Buffer) => () => readAll(BoltReader.open(inMemory(bytes)).root);

/** Writes a random database and reads it. */
export function compareAfterWrite(seed: number): void {
  const random = new SeededRandom(seed);
  const pageSize = [512, 4096, 16_384, 65_536][seed % 4] ?? 4096;
  const root = bucketOf(
    ['alpha', 'beta', 'gamma'].map((name) => {
      return { key: Buffer.from(name), bucket: randomBucket(random, 2, 5 * pageSize) };
    }),
  );
  const reader = BoltReader.open(inMemory(write(root, pageSize, 1 + random.int(1 << 18))));
  expect(readAll(reader.root)).toEqual(plain(root.elements()));
  expect(reader.root.bucket('beta')?.sequence).toBe(
    (root.elements() as { bucket: BucketContents }[])[1]?.bucket.sequence,
  );
  expect(reader.root.bucket('delta')).toBeUndefined();
}

/** Changes random bytes. The database must be read, or be refused with a BoltFormatError. */
export function readDamaged(rounds: number): void {
  const random = new SeededRandom(11);
  for (let round = 0; round < rounds; round += 1) {
    const bytes = damaged((copy) => {
      for (let n = 0; n <= random.int(4); n += 1) {
        const at = random.int(round % 2 === 0 ? copy.length : 4 * 4096);
        copy[at] = random.int(256);
      }
    });
    try {
      expect(reading(bytes)().length).toBeLessThanOrEqual(1);
    } catch (error) {
      expect(error).toBeInstanceOf(BoltFormatError);
    }
  }
}
