import { describe, expect, it } from 'vitest';
import { BoltFormatError } from './errors.ts';
import { fnv64a, PAGE_HEADER_BYTES, PageFlag, readPageHeader } from './format.ts';
import { BoltReader } from './reader.ts';
import {
  bucketOf,
  compareAfterWrite,
  damaged,
  file,
  inMemory,
  numbered,
  readAll,
  readDamaged,
  reading,
  write,
} from './testing/databases.ts';
import { databaseChunks, measureDatabase } from './writer.ts';

describe('a bbolt database', () => {
  it('has the checksum of the published FNV-1a vectors', () => {
    expect(fnv64a(Buffer.from(''))).toBe(0xcbf29ce484222325n);
    expect(fnv64a(Buffer.from('a'))).toBe(0xaf63dc4c8601ec8cn);
    expect(fnv64a(Buffer.from('foobar'))).toBe(0x85944171f73967e8n);
  });

  it('comes back as it was written', () => compareAfterWrite(3));

  it('keeps small buckets within their parent, empty ones too', () => {
    const file = write(bucketOf([{ key: Buffer.from('empty'), bucket: bucketOf([]) }]));
    expect(file.length).toBe(4 * 4096);
    expect(readAll(BoltReader.open(inMemory(file)).root)).toEqual([
      { key: Buffer.from('empty').toString('hex'), bucket: [] },
    ]);
  });

  it('has at least two children in each branch and little empty space', () => {
    for (const count of [8, 9, 15, 700, 701, 1000, 5003]) {
      const file = write(
        bucketOf([{ key: Buffer.from('key'), bucket: bucketOf(numbered(count, 450)) }]),
        4096,
      );
      for (let at = 3 * 4096; at < file.length; at += 4096) {
        const header = readPageHeader(file, at);
        expect(header.id).toBe(at / 4096);
        if (header.flags === PageFlag.branch) expect(header.count).toBeGreaterThanOrEqual(2);
      }
    }
    const values = 2500 * 1000;
    const large = write(bucketOf([{ key: Buffer.from('key'), bucket: bucketOf(numbered(1000, 2500)) }]));
    expect(large.length).toBeLessThan(values * 1.2);
  });

  it('finds the last element of a bucket of any size', () => {
    for (const count of [0, 1, 8, 700, 5003]) {
      const file = write(bucketOf([{ key: Buffer.from('key'), bucket: bucketOf(numbered(count, 450)) }]));
      const bucket = BoltReader.open(inMemory(file)).root.bucket('key');
      expect(bucket?.last()).toEqual([...(bucket?.elements() ?? [])].at(-1));
    }
  });

  it('refuses contents out of order, and two passes that differ', () => {
    const twice = [
      { key: Buffer.from('b'), value: Buffer.from('1') },
      { key: Buffer.from('b'), value: Buffer.from('2') },
    ];
    expect(() => measureDatabase(bucketOf(twice))).toThrow('key 62 follows 62');
    expect(() => measureDatabase(bucketOf([{ key: Buffer.alloc(0), value: Buffer.alloc(1) }]))).toThrow(
      'a bbolt key has 1 to 32768 bytes, not 0',
    );
    const layout = measureDatabase(bucketOf(numbered(100, 100)));
    expect(() => [...databaseChunks(bucketOf(numbered(90, 100)), layout, 65_536)]).toThrow(
      'both passes over a database see the same contents',
    );
  });
});

describe('a damaged database', () => {
  const { highWater, root } = BoltReader.open(inMemory(file)).meta;
  const pageAt = (id: number): number => id * 4096;
  const branchPages = Array.from({ length: highWater }, (_, id) => id).filter(
    (id) => readPageHeader(file, pageAt(id)).flags === PageFlag.branch,
  );
  it('is read by its other meta page when one is torn', () => {
    const copy = damaged((bytes) => bytes.fill(0xff, 20, 40));
    expect(BoltReader.open(inMemory(copy)).meta.txid).toBe(1n);
    const both = damaged((bytes) => bytes.fill(0xff, 20, 40).fill(0, 4096 + 70, 4096 + 80));
    expect(reading(both)).toThrow(BoltFormatError);
    expect(reading(both)).toThrow('page 0 has format version 4294967295 instead of 2');
    const checksum = damaged((bytes) => {
      for (const at of [16 + 48, 4096 + 16 + 48]) bytes[at] = 9;
    });
    expect(reading(checksum)).toThrow('page 0 has a wrong checksum');
  });

  it('is refused when it is cut off, or is no database', () => {
    expect(reading(file.subarray(0, file.length - 1))).toThrow('the file is cut off');
    expect(reading(file.subarray(0, 100))).toThrow(BoltFormatError);
    expect(reading(Buffer.alloc(0))).toThrow(BoltFormatError);
    expect(reading(Buffer.alloc(10_000))).toThrow('page 0 is not the beginning of a bbolt database');
  });

  it('is refused with the page that is wrong', () => {
    expect(reading(damaged((bytes) => bytes.writeUInt32LE(77, pageAt(5))))).toThrow(
      'page 5 says that it is page 77',
    );
    expect(reading(damaged((bytes) => bytes.writeUInt16LE(0x10, pageAt(5) + 8)))).toThrow(
      'page 5 is neither leaf nor branch: flags 0x10',
    );
    expect(reading(damaged((bytes) => bytes.writeUInt16LE(60_000, pageAt(5) + 10)))).toThrow(
      'page 5 is too short for its 60000 elements',
    );
    expect(reading(damaged((bytes) => bytes.writeUInt16LE(0, pageAt(5) + 10)))).toThrow('page 5 is empty');
    expect(reading(damaged((bytes) => bytes.writeUInt32LE(2 ** 32 - 1, pageAt(5) + 12)))).toThrow(
      'page 5 claims 4294967295 further pages',
    );
    expect(reading(damaged((bytes) => bytes.writeUInt32LE(1 << 30, pageAt(5) + 16 + 8)))).toThrow(
      'page 5: element 0 lies beyond the page',
    );
    expect(reading(damaged((bytes) => bytes.writeUInt32LE(0, pageAt(5) + 16 + 8)))).toThrow(
      'page 5: element 0 has an empty key',
    );
    expect(reading(damaged((bytes) => bytes.writeUInt16LE(0, pageAt(root) + 8)))).toThrow(`page ${root} is`);
  });

  it('is refused when its tree has a loop or a page twice', () => {
    const child = (branch: number, n: number): number => pageAt(branch) + PAGE_HEADER_BYTES + 16 * n + 8;
    const [low] = branchPages;
    const top = branchPages.at(-1);
    expect(branchPages.length).toBeGreaterThan(2);
    if (low === undefined || top === undefined) return;
    const loop = damaged((bytes) => bytes.writeUInt32LE(top, child(top, 0)));
    expect(reading(loop)).toThrow(BoltFormatError);
    const lower = damaged((bytes) => bytes.writeUInt32LE(top, child(low, 0)));
    expect(reading(lower)).toThrow(BoltFormatError);
    const shared = damaged((bytes) => bytes.writeUInt32LE(bytes.readUInt32LE(child(low, 0)), child(low, 1)));
    expect(reading(shared)).toThrow(BoltFormatError);
    const alone = damaged((bytes) => {
      bytes.writeUInt16LE(1, pageAt(top) + 10);
      bytes.writeUInt32LE(top, child(top, 0));
    });
    expect(reading(alone)).toThrow(`page ${top} is met twice in one tree`);
    const outside = damaged((bytes) => bytes.writeUInt32LE(highWater, child(low, 1)));
    expect(reading(outside)).toThrow(`page ${highWater} lies outside the ${highWater} pages`);
  });

  it('is read or refused, whatever bytes are wrong, and never hangs', () => readDamaged(20));
});
