import { expect, it } from 'vitest';
import { KeyValueView } from '../wire/key-value.ts';
import { RangeRequestSortOrder, RangeRequestSortTarget } from '../wire/gen/etcdserverpb.ts';
import { IndexMeta } from './index-meta.ts';
import type { KeyCursor, KeyEntry } from './key-cursor.ts';
import { RangeScan, type RangeResult } from './range-scan.ts';
import type { RangeOptions } from './range-options.ts';
import { allKeys } from './testing/range-options.ts';

const meta = new IndexMeta({ mod: 1, sub: 0, create: 1, version: 1, lease: 0n, size: 9, kv: undefined });

/** Overwrites each buffer that it has returned, as soon as the next keys are read. */
class OverwrittenKeys implements KeyCursor {
  readonly returned: Buffer[] = [];
  #left: number;

  constructor(count: number) {
    this.#left = count;
  }

  next(count: number): KeyEntry[] {
    for (const key of this.returned) key.fill(0);
    const read = Math.min(count, this.#left);
    this.#left -= read;
    return Array.from({ length: read }, (_, at) => {
      const key = Buffer.from(`key ${String(this.#left + read - at).padStart(4, '0')}`);
      this.returned.push(key);
      return { key, meta };
    });
  }

  get isDone(): boolean {
    return this.#left === 0;
  }

  close(): void {
    this.next(0);
  }
}

const noReads = { values: () => [], fields: () => [] };

function scanned(options: RangeOptions): RangeResult {
  const scan = new RangeScan(options, new OverwrittenKeys(1000), noReads, undefined);
  while (!scan.step(100));
  return scan.result();
}

it.each([
  ['with keys only', { ...allKeys, keysOnly: true }],
  [
    'in descending order',
    {
      ...allKeys,
      keysOnly: true,
      sortTarget: RangeRequestSortTarget.KEY,
      sortOrder: RangeRequestSortOrder.DESCEND,
    },
  ],
])('a list %s keeps none of the buffers that keys were read into', (_, options) => {
  const kvs: Buffer[] = [];
  const result = scanned(options);
  while (!result.isRead) kvs.push(...result.read(10_000));
  const keys = kvs.map((kv) => String(new KeyValueView().read(kv).key)).sort();
  expect(keys).toEqual(Array.from({ length: 1000 }, (_key, n) => `key ${String(n + 1).padStart(4, '0')}`));
});
