import { expect } from 'vitest';
import { SeededRandom } from '../../lib/seeded-random.ts';
import type { EngineControl } from '../../ports/engine.ts';
import { MemoryEngine } from '../../storage/memory-engine.ts';
import { KeyValue } from '../../wire/gen/mvccpb.ts';
import { CompactionJob } from '../compaction.ts';
import { keyRange } from '../key-range.ts';
import type { RangeOptions } from '../range-options.ts';
import { MvccStore } from '../store.ts';
import { allKeys } from './range-options.ts';

interface ModelVersion {
  readonly mod: number;
  readonly create: number;
  readonly version: number;
  readonly value: string;
}

/** The whole history as a simple model. */
class Model {
  readonly history = new Map<string, ModelVersion[]>();
  revision = 1;

  at(key: string, revision: number): ModelVersion | undefined {
    const found = (this.history.get(key) ?? []).filter((version) => version.mod <= revision).at(-1);
    return found === undefined || found.version === 0 ? undefined : found;
  }

  put(key: string, mod: number, value: string): void {
    const previous = this.at(key, mod);
    const next = { mod, create: previous?.create ?? mod, version: (previous?.version ?? 0) + 1, value };
    this.history.set(key, [...(this.history.get(key) ?? []), next]);
  }

  delete(start: string, end: string, mod: number): number {
    const keys = this.range(start, end, mod).map(([key]) => key);
    for (const key of keys) this.history.get(key)?.push({ mod, create: 0, version: 0, value: '' });
    return keys.length;
  }

  range(start: string, end: string, revision: number): [string, ModelVersion][] {
    const found: [string, ModelVersion][] = [];
    for (const key of [...this.history.keys()].sort()) {
      const version = key >= start && key < end ? this.at(key, revision) : undefined;
      if (version !== undefined) found.push([key, version]);
    }
    return found;
  }
}

export function options(start: string, end: string, over: Partial<RangeOptions> = {}): RangeOptions {
  return {
    ...allKeys,
    range: keyRange(Buffer.from(start, 'latin1'), Buffer.from(end, 'latin1')),
    ...over,
  };
}

export function commit(engine: EngineControl, store: MvccStore): void {
  const batch = engine.batch();
  store.stage(batch);
  engine.write(batch);
  store.committed();
}

function compact(engine: EngineControl, store: MvccStore, revision: number): void {
  const batch = engine.batch();
  expect(store.compact(revision, batch)).toBeUndefined();
  engine.write(batch);
  const job = new CompactionJob(store, revision);
  for (let done = false; !done;) {
    const slice = engine.batch();
    done = job.step(slice, 7);
    engine.write(slice);
  }
}

function shown(kvs: Buffer[]): unknown[] {
  return kvs.map((bytes) => {
    const kv = KeyValue.decode(bytes);
    return [
      kv.key.toString('latin1'),
      { mod: kv.modRevision, create: kv.createRevision, version: kv.version, value: kv.value.toString() },
    ];
  });
}

/** Runs random transactions, compactions and reads on a store and on the model, and compares all results. */
export function compareWithModel(seed: number, rounds: number): void {
  const random = new SeededRandom(seed);
  const engine = new MemoryEngine();
  let store = new MvccStore(engine, {
    cacheBytes: 20_000,
    keyChangeCapacity: 16,
    listCacheBytes: 2 ** 20,
  });
  const model = new Model();
  const anyKey = (): string => String.fromCharCode(97 + random.int(4), 97 + random.int(26), random.int(3));
  for (let round = 0; round < rounds; round += 1) {
    for (let entry = random.int(5); entry >= 0; entry -= 1) {
      const txn = store.begin();
      const written = new Set<string>();
      for (let op = random.int(3); op >= 0; op -= 1) {
        const key = anyKey();
        if (random.int(4) > 0) {
          if (written.has(key)) continue;
          written.add(key);
          const value = `v${random.int(1000)}`;
          txn.put(Buffer.from(key, 'latin1'), Buffer.from(value), 0n);
          model.put(key, model.revision + 1, value);
        } else if (written.size === 0) {
          const [start, end] = [anyKey(), anyKey()].sort() as [string, string];
          const deleted = txn.deleteRange(keyRange(Buffer.from(start, 'latin1'), Buffer.from(end, 'latin1')));
          expect(deleted.length).toBe(start === end ? 0 : model.delete(start, end, model.revision + 1));
          for (const { key: gone } of deleted) written.add(gone.toString('latin1'));
        }
      }
      if (txn.changes > 0) model.revision += 1;
      const inside = txn.range(options('a', 'e'));
      expect(shown(inside.readAll())).toEqual(model.range('a', 'e', model.revision));
      expect(inside.count).toBe(inside.length);
      txn.end();
      expect(store.revision).toBe(model.revision);
    }
    commit(engine, store);
    if (random.int(20) === 0)
      store = new MvccStore(engine, {
        cacheBytes: 20_000,
        keyChangeCapacity: 16,
        listCacheBytes: 2 ** 20,
      });
    if (random.int(15) === 0 && model.revision > store.compactRevision) {
      compact(engine, store, Math.max(store.compactRevision + 1, model.revision - random.int(30)));
    }
    for (let read = 0; read < 4; read += 1) {
      const low = Math.max(1, store.compactRevision);
      const revision = low + random.int(model.revision - low + 1);
      const [start, end] = [anyKey(), anyKey()].sort() as [string, string];
      const expected = start === end ? [] : model.range(start, end, revision);
      const limit = random.int(6);
      const result = start === end ? undefined : store.range(options(start, end, { revision, limit }));
      if (result === undefined) continue;
      expect(shown(result.readAll())).toEqual(limit === 0 ? expected : expected.slice(0, limit));
      expect(result.count).toBe(expected.length);
      expect(result.more).toBe(limit > 0 && expected.length > limit);
      expect(store.range(options(start, end, { revision, countOnly: true })).count).toBe(expected.length);
    }
  }
}
