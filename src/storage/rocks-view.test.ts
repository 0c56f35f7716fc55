import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { StoreView, ViewColumn } from '../ports/store-view.ts';
import { removeLeftovers, settleReplacement } from './replacement.ts';
import { RocksEngine } from './rocks-engine.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-view-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let made = 0;
const fresh = (): string => join(root, `store-${made++}`);

const key = (n: number): Buffer => {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32BE(n, 4);
  return bytes;
};

function put(engine: RocksEngine, rows: readonly (readonly [ViewColumn | 'latest', Buffer, string])[]): void {
  const batch = engine.batch();
  for (const [column, name, value] of rows) batch.put(column, name, Buffer.from(value));
  engine.write(batch);
}

function read(view: StoreView, column: ViewColumn, gte = '', lt?: string): string[] {
  const rows: string[] = [];
  const range = { gte: Buffer.from(gte), lt: lt === undefined ? undefined : Buffer.from(lt) };
  for (const batch of view.scan(column, range)) {
    for (let n = 0; n < batch.length; n += 2)
      rows.push(
        `${column === 'event' ? (batch[n]?.readUInt32BE(4) ?? '') : String(batch[n])}=${String(batch[n + 1])}`,
      );
  }
  return rows;
}

describe('a view of the store', () => {
  it('shows all its columns at one moment, for every read', async () => {
    const engine = await RocksEngine.open(fresh());
    put(engine, [
      ...Array.from({ length: 2000 }, (_, n) => ['event', key(n), `e${n}`] as const),
      ['auth', Buffer.from('u'), 'ann'],
      ['lease', Buffer.from('l1'), ''],
      ['meta', Buffer.from('index'), '7'],
      ['meta', Buffer.from('term'), '2'],
    ]);
    const view = engine.view();
    const events = Array.from({ length: 2000 }, (_, n) => `${n}=e${n}`);
    for (let round = 0; round < 3; round += 1) {
      expect(read(view, 'event')).toEqual(events);
      expect(read(view, 'auth')).toEqual(['u=ann']);
      expect(read(view, 'lease')).toEqual(['l1=']);
      expect(read(view, 'meta')).toEqual(['index=7', 'term=2']);
      expect(read(view, 'meta', 'index', 'index\0')).toEqual(['index=7']);
      expect(read(view, 'meta', 'j', 'k')).toEqual([]);
      const batch = engine.batch();
      for (let n = 0; n < 1000; n += 1) batch.del('event', key(n + round));
      batch.put('meta', Buffer.from('index'), Buffer.from(`${round}0`));
      batch.put('event', key(5000 + round), Buffer.from('later'));
      engine.write(batch);
    }
    await engine.compactFiles();
    expect(read(view, 'event')).toEqual(events);
    view.close();
    view.close();
    await engine.close();
  });

  it('returns batches of limited size, and one scan at a time', async () => {
    const engine = await RocksEngine.open(fresh());
    const large = 'x'.repeat(300_000);
    put(
      engine,
      Array.from({ length: 20 }, (_, n) => ['event', key(n), large] as const),
    );
    const view = engine.view();
    const batches = [...view.scan('event', { gte: Buffer.alloc(0) })];
    expect(batches.length).toBeGreaterThan(3);
    const [first, second] = [0, 1].map(() => view.scan('event', { gte: Buffer.alloc(0) })[Symbol.iterator]());
    first?.next();
    second?.next();
    expect(() => first?.next()).toThrow('not read after the next one has started');
    view.close();
    await engine.close();
  });
});

describe('a received store that replaces another one', () => {
  it('is used, and the old one is removed', async () => {
    const path = fresh();
    const engine = await RocksEngine.open(path);
    put(engine, [['latest', Buffer.from('a'), 'old']]);
    const received = await RocksEngine.open(engine.replacementDirectory);
    put(received, [['latest', Buffer.from('b'), 'new']]);
    await received.close();
    await engine.replaceFiles();
    expect(engine.get('latest', Buffer.from('a'))).toBeUndefined();
    expect(engine.get('latest', Buffer.from('b'))?.toString()).toBe('new');
    put(engine, [['latest', Buffer.from('c'), 'later']]);
    await engine.syncLog();
    await engine.close();
    settleReplacement(path);
    const again = await RocksEngine.open(path);
    expect(again.get('latest', Buffer.from('c'))?.toString()).toBe('later');
    await again.close();
    expect(['building', 'received', 'replaced'].filter((name) => existsSync(`${path}.${name}`))).toEqual([]);
  });

  it('replaces the old one after a crash between the renames, and is dropped after a crash before them', () => {
    const path = fresh();
    mkdirSync(join(`${path}.received`, 'new'), { recursive: true });
    mkdirSync(join(`${path}.replaced`, 'old'), { recursive: true });
    settleReplacement(path);
    expect(existsSync(join(path, 'new'))).toBe(true);
    mkdirSync(`${path}.received`);
    mkdirSync(`${path}.building`);
    settleReplacement(path);
    removeLeftovers(path);
    expect(existsSync(join(path, 'new'))).toBe(true);
    expect(['building', 'received', 'replaced'].filter((name) => existsSync(`${path}.${name}`))).toEqual([]);
  });
});
