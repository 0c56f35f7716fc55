import { expect, it } from 'vitest';
import { compareValues, SortableValues } from './sortable-values.ts';
import { IndexMeta } from './index-meta.ts';

const meta = new IndexMeta({ mod: 1, sub: 0, create: 1, version: 1, lease: 0n, size: 0, kv: undefined });
const entry = { key: Buffer.from('key'), meta };

function kept(values: readonly Buffer[]): SortableValues {
  const sortable = new SortableValues();
  for (const value of values) sortable.add(entry, value);
  return sortable;
}

it('has the order of the bytes', () => {
  const parts = [[], [0], [1], [0x7f], [0x80], [0xff]];
  const long = Buffer.alloc(5000, 0x7f);
  const values = [long, long.subarray(1)];
  for (const a of parts)
    for (const b of parts) for (const c of parts) values.push(Buffer.from([...a, ...b, ...c, ...a, ...b]));
  const { all } = kept(values);
  const wrong = all.flatMap((a, at) =>
    all
      .map((b, other) => ({ at, other, order: Math.sign(compareValues(a, b)) }))
      .filter(
        ({ other, order }) => order !== Buffer.compare(values[at] ?? entry.key, values[other] ?? entry.key),
      ),
  );
  expect(wrong).toEqual([]);
});

it('keeps none of the buffers that short values were read into', () => {
  const values = Array.from({ length: 10_000 }, (_, n) => Buffer.from(`value ${n}`.padEnd(100)));
  const { all } = kept(values);
  const texts = values.map(String);
  for (const value of values) value.fill(0);
  expect(all.map(({ bytes, start, end }) => bytes.toString('latin1', start, end))).toEqual(texts);
  expect(new Set(all.map(({ bytes }) => bytes.buffer)).size).toBeLessThan(10);
});

it('copies no large value', () => {
  const value = Buffer.alloc(100_000);
  expect(kept([value]).all[0]?.bytes).toBe(value);
});
