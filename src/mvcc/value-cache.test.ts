import { expect, it } from 'vitest';
import {
  expected,
  large,
  metaOf,
  metas,
  MIB,
  readBeyondTheBound,
  store,
  valueOf,
} from './testing/cached-values.ts';
import { joinFields, ValueCache } from './value-cache.ts';

it('values read together come again as few pieces, without the store', () => {
  const cache = new ValueCache(8 * MIB, large);
  const { read, values } = store();
  const list = metas(1, 1000, 1000);
  expect(Buffer.concat(cache.read(list, values)).equals(expected(list))).toBe(true);
  expect(read).toHaveLength(1000);
  const again = cache.read(list, values);
  expect(Buffer.concat(again).equals(expected(list))).toBe(true);
  expect(read).toHaveLength(1000);
  expect(again.length).toBeLessThanOrEqual(5);
});

it('a list with one changed value reads only that value', () => {
  const cache = new ValueCache(8 * MIB, large);
  const { read, values } = store();
  const list = metas(1, 100, 1000);
  cache.read(list, values);
  read.length = 0;
  list[50] = metaOf(500, 2000);
  expect(Buffer.concat(cache.read(list, values)).equals(expected(list))).toBe(true);
  expect(read).toEqual([500]);
});

it.each([10_000, 60_000])('memory stays within the bound with values of %d bytes', readBeyondTheBound);

it('what was handed out does not change when its memory is dropped', () => {
  const cache = new ValueCache(MIB, large);
  const { values } = store();
  const list = metas(1, 50, 5000);
  const pieces = cache.read(list, values);
  for (let from = 100; from < 2000; from += 100) cache.read(metas(from, 100, 5000), values);
  expect(Buffer.concat(pieces).equals(expected(list))).toBe(true);
});

it('revisions of one transaction are distinct, and those beyond the bounds are not kept', () => {
  const cache = new ValueCache(8 * MIB, large);
  const { read, values } = store();
  const list = [0, 1, 4095, 4096, 5000, 9000].map((sub) => metaOf(7, 100, sub));
  list.push(metaOf(2 ** 42, 100), metaOf(2 ** 42 + 1, 100), metaOf(8, 200_000));
  for (let round = 0; round < 2; round += 1)
    expect(Buffer.concat(cache.read(list, values)).equals(expected(list))).toBe(true);
  expect(read).toEqual([7, 7, 7, 7, 7, 7, 2 ** 42, 2 ** 42 + 1, 8, 7, 7, 7, 2 ** 42, 2 ** 42 + 1, 8]);
});

it('nothing is kept without room, nor after it was cleared', () => {
  const { read, values } = store();
  const list = metas(1, 10, 100);
  const none = new ValueCache(0, large);
  none.read(list, values);
  none.read(list, values);
  expect([read.length, none.bytes]).toEqual([20, 0]);
  const cache = new ValueCache(MIB, large);
  cache.read(list, values);
  cache.clear();
  cache.read(list, values);
  expect(read).toHaveLength(40);
});

it('values are joined as fields', () => {
  const list = metas(1, 3, 300);
  expect(joinFields(list.map(valueOf)).equals(expected(list))).toBe(true);
});

it('replaced values of a small store do not fill the cache', () => {
  const storeBytes = 6 * MIB;
  const cache = new ValueCache(128 * MIB, () => storeBytes);
  const { read, values } = store();
  for (let revision = 1; revision < 30_000; revision += 1000) cache.read(metas(revision, 1000, 1000), values);
  expect(cache.bytes).toBeLessThanOrEqual(2 * storeBytes);
  read.length = 0;
  cache.read(metas(26_001, 4000, 1000), values);
  expect(read).toEqual([]);
});
