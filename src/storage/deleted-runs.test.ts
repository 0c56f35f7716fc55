import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../lib/seeded-random.ts';
import { DeletedRuns, type FamilyRows } from './deleted-runs.ts';

const KEYS = 30_000;
const keyOf = (n: number): Buffer => Buffer.from(String(n).padStart(6, '0'));

/** Rows 0 to `KEYS` of one family, which counts the deleted rows that searches pass. A deleted range counts as one. */
class CountedRows implements FamilyRows {
  readonly isRow = new Array<boolean>(KEYS).fill(true);
  readonly ranges: [number, number][] = [];
  readonly #isInRange = new Array<boolean>(KEYS).fill(false);
  searches = 0;
  passed = 0;

  first(_: undefined, gte: Buffer, lt: Buffer | undefined): Buffer | 'unknown' | undefined {
    this.searches += 1;
    for (let n = numberFrom(gte); n < (lt === undefined ? KEYS : numberFrom(lt)); n += 1) {
      if (this.isRow[n] === true) return keyOf(n);
      if (this.#isInRange[n] !== true || this.#isInRange[n - 1] !== true) this.passed += 1;
    }
    return undefined;
  }

  deleteRange(_: undefined, gte: Buffer, lt: Buffer): void {
    const range: [number, number] = [numberFrom(gte), numberFrom(lt)];
    expect(this.isRow.slice(...range)).not.toContain(true);
    this.ranges.push(range);
    this.#isInRange.fill(true, ...range);
  }
}

/** The first row at or after a key. */
function numberFrom(key: Buffer): number {
  return Number(key.toString('latin1', 0, 6)) + (key.length > 6 ? 1 : 0);
}

function shuffled(count: number): number[] {
  const random = new SeededRandom(3);
  const numbers = Array.from({ length: count }, (_, n) => n);
  for (let n = count - 1; n > 0; n -= 1) {
    const other = random.int(n + 1);
    [numbers[n], numbers[other]] = [numbers[other] ?? 0, numbers[n] ?? 0];
  }
  return numbers;
}

describe('DeletedRuns', () => {
  const deleted = 20_000;
  const orders: Record<string, number[]> = {
    'in order': Array.from({ length: deleted }, (_, n) => n),
    backwards: Array.from({ length: deleted }, (_, n) => deleted - 1 - n),
    'in random order': shuffled(deleted),
  };

  for (const [name, order] of Object.entries(orders)) {
    for (const perBatch of [1, 500, deleted]) {
      it(`marks rows deleted ${name}, ${perBatch} at once, as one range, in bounded turns`, () => {
        const rows = new CountedRows();
        let later: (() => void) | undefined;
        const runs = new DeletedRuns(rows, (run) => {
          later = run;
          return () => undefined;
        });
        const mostInTurn = { searches: 0, passed: 0 };
        const turn = (work: () => void): void => {
          const { searches, passed } = rows;
          work();
          mostInTurn.searches = Math.max(mostInTurn.searches, rows.searches - searches);
          mostInTurn.passed = Math.max(mostInTurn.passed, rows.passed - passed);
        };
        for (let at = 0; at < order.length; at += perBatch) {
          const keys = order.slice(at, at + perBatch);
          const told = keys.map((n) => runs.deleting(undefined, keyOf(n))).filter((key) => key !== undefined);
          for (const n of keys) rows.isRow[n] = false;
          if (told.length > 0) turn(() => runs.deleted(told));
        }
        for (let run = later; run !== undefined; run = later) {
          later = undefined;
          turn(run);
        }
        const [from, to] = rows.ranges.at(-1) ?? [deleted, 0];
        expect(runs.faults).toBe(0);
        // Less than a range is worth is left at the ends.
        expect(from).toBeLessThan(512);
        expect(to).toBeGreaterThan(deleted - 512);
        expect(mostInTurn.searches).toBeLessThanOrEqual(32);
        expect(mostInTurn.passed).toBeLessThan(8000);
        // No deleted row is passed again and again.
        expect(rows.passed).toBeLessThan(4 * deleted);
      });
    }
  }

  it('deletes no range with a row that it was not told of', () => {
    const rows = new CountedRows();
    const runs = new DeletedRuns(rows, () => () => undefined);
    const told = [];
    for (let n = 0; n < 5000; n += 1) {
      const key = runs.deleting(undefined, keyOf(n));
      if (key !== undefined) told.push(key);
      rows.isRow[n] = false;
      // As if a write had missed to tell its key after the place was searched.
      if (n === 2000) runs.deleted(told.splice(0));
    }
    const first = rows.first.bind(rows);
    let looks = 0;
    rows.first = (choice, gte, lt) => {
      looks += 1;
      if (looks === 2) rows.isRow[100] = true;
      return first(choice, gte, lt);
    };
    // `deleteRange` checks that it has no rows.
    runs.deleted(told);
    expect(runs.faults).toBe(1);
  });

  it('looks again in a later turn when a search ended without an answer', () => {
    const rows = new CountedRows();
    const queued: (() => void)[] = [];
    const runs = new DeletedRuns(rows, (run) => {
      queued.push(run);
      return () => undefined;
    });
    const first = rows.first.bind(rows);
    const random = new SeededRandom(7);
    let unanswered = 0;
    rows.first = (choice, gte, lt) => {
      if (random.int(3) === 0) return first(choice, gte, lt);
      unanswered += 1;
      return 'unknown';
    };
    const told = [];
    for (let n = 0; n < 5000; n += 1) {
      const key = runs.deleting(undefined, keyOf(n));
      if (key !== undefined) told.push(key);
      rows.isRow[n] = false;
    }
    runs.deleted(told);
    for (let run = queued.shift(); run !== undefined; run = queued.shift()) {
      const before = unanswered;
      run();
      expect(unanswered).toBeLessThanOrEqual(before + 1);
    }
    expect(runs.faults).toBe(0);
    const [from, to] = rows.ranges.at(-1) ?? [0, 0];
    expect(to - from).toBeGreaterThan(4000);
  });

  it('forgets what it found while rows of a batch were on their way', () => {
    const rows = new CountedRows();
    let later: (() => void) | undefined;
    const runs = new DeletedRuns(rows, (run) => {
      later = run;
      return () => undefined;
    });
    const remove = (from: number, to: number): void => {
      const told = [];
      for (let n = from; n < to; n += 1) {
        const key = runs.deleting(undefined, keyOf(n));
        if (key !== undefined) told.push(key);
        rows.isRow[n] = false;
      }
      runs.deleted(told);
    };
    const search = (): void => {
      for (let run = later; run !== undefined; run = later) {
        later = undefined;
        run();
      }
    };
    remove(0, 2000);
    const before = runs.searches;
    runs.put(undefined, keyOf(1500));
    search();
    // Another row splits what was found.
    runs.put(undefined, keyOf(700));
    rows.isRow[700] = true;
    rows.isRow[1500] = true;
    runs.written(undefined, before);
    // `deleteRange` checks that it has no rows.
    remove(2000, 6000);
    search();
    expect(runs.faults).toBe(0);
    expect(rows.ranges.length).toBeGreaterThan(1);
    expect(rows.ranges.at(-1)?.[0]).toBeGreaterThan(1500);
  });
});
