import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { SeededRandom } from '../lib/seeded-random.ts';
import { type Column, EngineReopenedError, type WriteBatch } from '../ports/engine.ts';
import { EMPTY } from '../wire/reader.ts';
import { RocksEngine } from './rocks-engine.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-runs-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Those that are searched for runs. All but the first share a family. */
const columns = ['latest', 'version', 'lease', 'auth', 'meta'] as const;
const KEYS = 1000;
const ROUNDS = 300;

interface Change {
  readonly column: (typeof columns)[number];
  readonly key: Buffer;
  /** Undefined deletes. */
  readonly value: string | undefined;
}

/** A batch that is not written yet. */
interface Staged {
  readonly batch: WriteBatch;
  readonly changes: Change[];
}

/** Ascending. A zero byte that is first is escaped, as in the column `version`. */
function someKeys(random: SeededRandom): Buffer[] {
  const bytes = Buffer.from(random.pick(['abclm', '\x00\xffla', '\xff\xfe\x00']), 'latin1');
  const keys = new Set<string>();
  for (let n = 0; n < KEYS; n += 1) {
    const key = Buffer.from(Array.from({ length: random.between(2, 9) }, () => random.pick([...bytes])));
    if (key[0] === 0) key[1] = 0xff;
    keys.add(key.toString('latin1'));
  }
  return [...keys].sort().map((key) => Buffer.from(key, 'latin1'));
}

/** The engine beside what it should have, and the batches that are on their way. */
class Model {
  readonly #random: SeededRandom;
  readonly #keys: readonly Buffer[];
  readonly #rows = new Map<Column, Map<string, string>>(columns.map((column) => [column, new Map()]));
  #staged: Staged[] = [];
  readonly engine: RocksEngine;

  constructor(random: SeededRandom, engine: RocksEngine) {
    this.#random = random;
    this.#keys = someKeys(random);
    this.engine = engine;
  }

  async round(round: number): Promise<void> {
    const random = this.#random;
    const dice = random.int(100);
    if (this.#staged.length === 0 || (dice < 15 && this.#staged.length < 4))
      this.#staged.push({ batch: this.engine.batch(), changes: [] });
    else if (dice < 60) await this.#change(random.pick(this.#staged), String(round));
    else if (dice < 83) this.#write(random.int(this.#staged.length));
    else if (dice < 97) await sleep(random.int(8));
    else await this.#reopen(random.chance(0.5));
  }

  async #change({ batch, changes }: Staged, value: string): Promise<void> {
    const random = this.#random;
    for (let parts = random.between(1, 4); parts > 0; parts -= 1) {
      const column = random.pick(columns);
      const isDeleting = random.chance(0.75);
      const from = random.int(this.#keys.length);
      const part = this.#keys.slice(
        from,
        from + random.between(1, isDeleting ? KEYS : random.pick([2, 200])),
      );
      if (random.chance(0.3)) random.shuffle(part);
      for (const key of part) {
        if (random.chance(0.005)) continue;
        const isRow = isDeleting === random.chance(0.003);
        if (isRow) batch.put(column, key, Buffer.from(value));
        else batch.del(column, key);
        changes.push({ column, key, value: isRow ? value : undefined });
      }
      // A search may fall between two changes of a batch.
      if (random.chance(0.3)) await sleep(random.int(8));
    }
  }

  #write(at: number): void {
    for (const { batch, changes } of this.#staged.splice(at, 1)) {
      // Some are never written.
      if (this.#random.chance(0.06)) continue;
      this.engine.write(batch);
      for (const { column, key, value } of changes) {
        if (value === undefined) this.#rows.get(column)?.delete(key.toString('latin1'));
        else this.#rows.get(column)?.set(key.toString('latin1'), value);
      }
    }
    if (this.#random.chance(0.2)) this.expectRows(this.engine);
  }

  async #reopen(isReplaced: boolean): Promise<void> {
    if (isReplaced) {
      const next = await RocksEngine.open(this.engine.replacementDirectory);
      const batch = next.batch();
      for (const [column, rows] of this.#rows)
        for (const [key, value] of rows) batch.put(column, Buffer.from(key, 'latin1'), Buffer.from(value));
      next.write(batch);
      await next.syncLog();
      await next.close();
      await this.engine.replaceFiles();
    } else {
      await this.engine.reopen();
    }
    for (const { batch } of this.#staged) expect(() => this.engine.write(batch)).toThrow(EngineReopenedError);
    this.#staged = [];
    this.expectRows(this.engine);
  }

  expectRows(engine: RocksEngine): void {
    expect(engine.faultsOfRuns).toBe(0);
    for (const [column, rows] of this.#rows) {
      const iterator = engine.iterate(column, { gte: EMPTY });
      const found = iterator.next(KEYS + 1).map((row) => row.toString('latin1'));
      iterator.close();
      const wanted = [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
      expect(found).toEqual(wanted.flat());
      const values = engine.getMany(
        column,
        this.#keys.filter((_, n) => n % 7 === 0),
      );
      for (const [n, value] of values.entries())
        expect(value?.toString()).toBe(rows.get(this.#keys[n * 7]?.toString('latin1') ?? ''));
    }
  }
}

describe('runs of deleted rows', () => {
  it.each([2, 4, 5, 7, 8, 11])('never contain a row that exists: seed %i', async (seed) => {
    const directory = join(root, String(seed));
    const model = new Model(new SeededRandom(seed), await RocksEngine.open(directory));
    for (let round = 0; round < ROUNDS; round += 1) await model.round(round);
    model.expectRows(model.engine);
    await model.engine.close();
    const engine = await RocksEngine.open(directory);
    model.expectRows(engine);
    await engine.close();
  });
});
