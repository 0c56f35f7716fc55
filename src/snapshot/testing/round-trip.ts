import { writeFileSync } from 'node:fs';
import { expect } from 'vitest';
import { verifyStore } from '../../cli/verify-store.ts';
import { MvccStore } from '../../mvcc/store.ts';
import type { Engine } from '../../ports/engine.ts';
import { RocksEngine } from '../../storage/rocks-engine.ts';
import { importFile } from '../import-task.ts';
import { exportInline, hashOf, History, rowsOf } from './history.ts';

/** Imports an exported file into a new store. */
export async function importInline(path: string, file: Buffer): Promise<RocksEngine> {
  writeFileSync(`${path}.db`, file);
  const engine = await RocksEngine.open(path);
  importFile({ file: `${path}.db`, engine });
  return engine;
}

/** Exports and imports a store with a random history, and compares all columns. `fresh` returns a new path. */
export async function compareRoundTrip(fresh: () => string, seed: number): Promise<void> {
  const history = await History.make(fresh(), seed);
  history.run(600);
  const engine = await importInline(fresh(), exportInline(history.engine));
  for (const column of ['latest', 'event', 'version', 'lease', 'auth'] as const)
    expect(rowsOf(engine, column)).toEqual(rowsOf(history.engine, column));
  const marks = (store: Engine): string[] =>
    rowsOf(store, 'meta').filter((row) => !row.startsWith(Buffer.from('fence/').toString('hex')));
  expect(marks(engine)).toEqual(marks(history.engine));
  expect(verifyStore(engine).findings).toEqual([]);
  expect(hashOf(engine)).toEqual(hashOf(history.engine));
  const { revision } = history.store;
  expect(hashOf(engine, revision - 50)).toEqual(hashOf(history.engine, revision - 50));
  await engine.close();
  await history.engine.close();
}

/** The same with compactions. With seed 5, all of them are finished. */
export async function compareAfterCompactions(fresh: () => string, seed: number): Promise<void> {
  const history = await History.make(fresh(), seed);
  history.run(300);
  history.compact(150);
  history.run(300);
  history.compact(400, seed === 5);
  history.run(50);
  const engine = await importInline(fresh(), exportInline(history.engine));
  for (const column of ['latest', 'lease'] as const)
    expect(rowsOf(engine, column)).toEqual(rowsOf(history.engine, column));
  expect(rowsOf(engine, 'event').map((row) => row.slice(0, 24))).toEqual(
    rowsOf(history.engine, 'event').map((row) => row.slice(0, 24)),
  );
  const imported = new MvccStore(engine);
  expect(imported.meta.finishedRevision).toBe(seed === 5 ? 400 : 150);
  expect(imported.compactRevision).toBe(400);
  expect(hashOf(engine)).toEqual(hashOf(history.engine));
  if (seed === 5) {
    expect(verifyStore(engine).findings).toEqual([]);
    expect(exportInline(engine).equals(exportInline(history.engine))).toBe(true);
  }
  await engine.close();
  await history.engine.close();
}
