import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  columns,
  type Column,
  type EngineControl,
  type EngineRange,
  EngineReopenedError,
  ROWS_BYTES,
} from '../ports/engine.ts';
import { EMPTY } from '../wire/reader.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
/** A key that is valid in every column, with an escaped zero byte at the start. */
const key = (text: string): Buffer => bytes(`\0\xff${text}`);

function put(engine: EngineControl, column: Column, rows: Readonly<Record<string, string>>): void {
  const batch = engine.batch();
  for (const [k, v] of Object.entries(rows)) batch.put(column, key(k), bytes(v));
  engine.write(batch);
}

/** Reads a range to its end, `step` rows at a time, as "key=value" texts. */
function list(engine: EngineControl, column: Column, range: EngineRange, step = 2): string[] {
  const iterator = engine.iterate(column, range);
  const found: string[] = [];
  for (;;) {
    const rows = iterator.next(step);
    if (rows.length === 0) break;
    for (let n = 0; n < rows.length; n += 2) {
      found.push(`${rows[n]?.subarray(2).toString('latin1')}=${rows[n + 1]?.toString('latin1')}`);
    }
  }
  iterator.close();
  return found;
}

const everything: EngineRange = { gte: EMPTY };

/** Tests of what all engines have in common. `open` returns a new, empty one each time. */
export function engineCases(name: string, open: () => Promise<EngineControl>): void {
  describe(`${name}: engine`, () => {
    let engine: EngineControl;
    beforeEach(async () => {
      engine = await open();
    });
    afterEach(async () => {
      await engine.close();
    });

    it('reads back what a batch wrote, in each column separately', () => {
      for (const column of columns) put(engine, column, { a: `in ${column}`, b: '' });
      for (const column of columns) {
        expect(engine.get(column, key('a'))?.toString()).toBe(`in ${column}`);
        expect(engine.get(column, key('b'))).toEqual(EMPTY);
        expect(engine.get(column, key('c'))).toBeUndefined();
        expect(list(engine, column, everything)).toEqual([`a=in ${column}`, 'b=']);
      }
    });

    it('applies a batch in order, the last write of a key winning', () => {
      const batch = engine.batch();
      batch.put('latest', key('a'), bytes('1'));
      batch.del('latest', key('a'));
      batch.put('latest', key('b'), bytes('1'));
      batch.put('latest', key('b'), bytes('2'));
      batch.del('latest', key('never there'));
      expect(batch.length).toBe(5);
      engine.write(batch);
      expect(list(engine, 'latest', everything)).toEqual(['b=2']);
    });

    it('reads see nothing of a batch before it is written', () => {
      const batch = engine.batch();
      batch.put('meta', key('a'), bytes('1'));
      expect(engine.get('meta', key('a'))).toBeUndefined();
      engine.write(batch);
      expect(engine.get('meta', key('a'))).toEqual(bytes('1'));
    });

    it('refuses a batch that was written already', () => {
      const batch = engine.batch();
      engine.write(batch);
      expect(() => engine.write(batch)).toThrow(/batch/);
      expect(() => batch.put('meta', key('a'), bytes('1'))).toThrow(/batch/);
    });

    it('refuses a version key that could belong to another column', () => {
      const batch = engine.batch();
      expect(() => batch.put('version', bytes('\0m'), bytes('1'))).toThrow(/zero byte/);
    });

    it('copies its arguments, and returns buffers that the caller may change', () => {
      const k = key('a');
      const v = bytes('1');
      const batch = engine.batch();
      batch.put('latest', k, v);
      k.fill(0x7a);
      v.fill(0x7a);
      engine.write(batch);
      engine.get('latest', key('a'))?.fill(0x7a);
      expect(engine.get('latest', key('a'))).toEqual(bytes('1'));
    });

    it('reads many keys at once, in order and with missing keys', () => {
      put(engine, 'lease', { a: '1', b: '2', c: '3' });
      const found = engine.getMany('lease', ['c', 'x', 'a', 'a'].map(key));
      expect(found).toEqual([bytes('3'), undefined, bytes('1'), bytes('1')]);
      expect(engine.getMany('lease', [])).toEqual([]);
    });

    it.each(['latest', 'event', 'lease'] as const)('reads ranges of %s in both directions', (column) => {
      put(engine, column, { a: '1', b: '2', c: '3', d: '4' });
      const range = (gte: string, lt?: string): EngineRange => ({
        gte: key(gte),
        lt: lt === undefined ? undefined : key(lt),
      });
      expect(list(engine, column, range('b', 'd'))).toEqual(['b=2', 'c=3']);
      expect(list(engine, column, range('bb'))).toEqual(['c=3', 'd=4']);
      expect(list(engine, column, { ...range('b', 'd'), reverse: true })).toEqual(['c=3', 'b=2']);
      expect(list(engine, column, { ...everything, reverse: true })).toEqual(['d=4', 'c=3', 'b=2', 'a=1']);
      expect(list(engine, column, { ...range('b', 'c'), keysOnly: true })).toEqual(['b=']);
      expect(list(engine, column, { ...range('b', 'd'), valuesOnly: true })).toEqual(['=2', '=3']);
      expect(list(engine, column, range('c', 'b'))).toEqual([]);
      expect(list(engine, column, range('x'))).toEqual([]);
    });

    it('orders keys bytewise, prefixes first', () => {
      const rows = { 'a\xff': '', a: '', 'a\0': '', ab: '', '\xff': '' };
      put(engine, 'latest', rows);
      expect(list(engine, 'latest', everything)).toEqual(['a=', 'a\0=', 'ab=', 'a\xff=', '\xff=']);
    });

    it('an iterator sees the rows of the moment when it was opened', () => {
      put(engine, 'latest', { a: '1', b: '2', c: '3' });
      const iterator = engine.iterate('latest', everything);
      const batch = engine.batch();
      batch.del('latest', key('b'));
      batch.put('latest', key('a'), bytes('changed'));
      batch.put('latest', key('bb'), bytes('new'));
      engine.write(batch);
      const rows = iterator.next(10).map((row) => row.toString('latin1'));
      iterator.close();
      iterator.close();
      expect(rows).toEqual(
        ['a', '1', 'b', '2', 'c', '3'].map((text, at) => (at % 2 === 0 ? `\0\xff${text}` : text)),
      );
      expect(list(engine, 'latest', everything)).toEqual(['a=changed', 'bb=new', 'c=3']);
    });

    it('keeps many rows correct over rewrites and removals', () => {
      const expected = new Map<string, string>();
      for (let round = 0; round < 40; round++) {
        const batch = engine.batch();
        for (let n = 0; n < 100; n++) {
          const name = String((round * 61 + n * 37) % 2500).padStart(5, '0');
          if ((round + n) % 5 === 0) {
            batch.del('latest', key(name));
            expected.delete(name);
          } else {
            batch.put('latest', key(name), bytes(`${round}`));
            expected.set(name, `${round}`);
          }
        }
        engine.write(batch);
      }
      const sorted = [...expected].sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => `${k}=${v}`);
      expect(list(engine, 'latest', everything, 97)).toEqual(sorted);
      expect(list(engine, 'latest', { ...everything, reverse: true }, 97)).toEqual(sorted.reverse());
    });

    // A compaction read 200 rows of any size in one call: with large values hundreds of megabytes.
    it('an iterator reads a bounded number of bytes at once', () => {
      const value = 'v'.repeat(ROWS_BYTES / 8);
      const names = Array.from({ length: 50 }, (_, n) => `k${String(n).padStart(2, '0')}`);
      put(engine, 'event', Object.fromEntries(names.map((name) => [name, value])));
      const iterator = engine.iterate('event', everything);
      expect(iterator.next(50)).toHaveLength(2 * 8);
      iterator.close();
      expect(list(engine, 'event', everything, 50)).toEqual(names.map((name) => `${name}=${value}`));
      const keys = engine.iterate('event', { ...everything, keysOnly: true });
      expect(keys.next(50)).toHaveLength(2 * 50);
      keys.close();
    });

    it('counts the reads that are not closed yet', () => {
      put(engine, 'latest', { a: '1', b: '2' });
      const reads = [engine.iterate('latest', everything), engine.iterate('latest', everything)];
      expect(engine.openReads).toBe(2);
      for (const read of reads) read.close();
      reads[0]?.close();
      expect(engine.openReads).toBe(0);
    });

    it('keeps its rows over syncs, compactions and reopening', async () => {
      put(engine, 'latest', { a: '1' });
      await Promise.all([engine.syncLog(), engine.syncLog(), engine.syncLog()]);
      await engine.compactFiles();
      for (const column of columns)
        expect(list(engine, column, everything)).toHaveLength(column === 'latest' ? 1 : 0);
      await engine.reopen();
      expect(engine.get('latest', key('a'))).toEqual(bytes('1'));
      put(engine, 'latest', { b: '2' });
      expect(list(engine, 'latest', everything)).toEqual(['a=1', 'b=2']);
      expect(engine.sizes().inUse).toBeLessThanOrEqual(engine.sizes().total);
    });

    /** All calls fail on a store that is closed or is being reopened. */
    async function expectRefusals(): Promise<void> {
      expect(() => engine.get('latest', key('a'))).toThrow(EngineReopenedError);
      expect(() => engine.getMany('latest', [key('a')])).toThrow(EngineReopenedError);
      expect(() => engine.iterate('latest', everything)).toThrow(EngineReopenedError);
      expect(() => engine.batch()).toThrow(EngineReopenedError);
      await expect(engine.syncLog()).rejects.toThrow(EngineReopenedError);
      await expect(engine.compactFiles()).rejects.toThrow(EngineReopenedError);
      expect(engine.sizes().inUse).toBeLessThanOrEqual(engine.sizes().total);
    }

    it('refuses every call after it is closed', async () => {
      put(engine, 'latest', { a: '1' });
      const batch = engine.batch();
      batch.put('latest', key('b'), bytes('2'));
      const iterator = engine.iterate('latest', everything);
      const closing = engine.close();
      await expectRefusals();
      await closing;
      await expectRefusals();
      expect(() => iterator.next(1)).toThrow(EngineReopenedError);
      iterator.close();
      expect(() => batch.put('latest', key('c'), bytes('3'))).toThrow(EngineReopenedError);
      expect(() => engine.write(batch)).toThrow(EngineReopenedError);
      await expect((async () => engine.reopen())()).rejects.toThrow(EngineReopenedError);
      await engine.close();
    });

    it('ends iterators and batches of before when it is reopened', async () => {
      put(engine, 'latest', { a: '1' });
      const batch = engine.batch();
      batch.put('latest', key('b'), bytes('2'));
      const iterator = engine.iterate('latest', everything);
      await Promise.all([engine.reopen(), engine.reopen()]);
      expect(() => iterator.next(1)).toThrow(EngineReopenedError);
      expect(() => batch.del('latest', key('a'))).toThrow(EngineReopenedError);
      expect(() => engine.write(batch)).toThrow(EngineReopenedError);
      expect(list(engine, 'latest', everything)).toEqual(['a=1']);
    });
  });
}
