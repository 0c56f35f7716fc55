import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { engineCases } from './engine.cases.ts';
import { type Column, EngineReopenedError } from '../ports/engine.ts';
import { RocksEngine } from './rocks-engine.ts';
import { rocksBinding } from './rocksdb-binding.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-rocks-'));
let opened = 0;
const freshDirectory = (): string => join(root, String(opened++));
afterAll(() => rmSync(root, { recursive: true, force: true }));

engineCases('rocksdb', () => RocksEngine.open(freshDirectory()));

describe('rocksdb', () => {
  it('tells how many bytes it will flush, while it is closed too', async () => {
    const engine = await RocksEngine.open(freshDirectory());
    const before = engine.unflushedBytes;
    const batch = engine.batch();
    batch.put('event', Buffer.alloc(12), Buffer.alloc(1 << 20));
    engine.write(batch);
    expect(engine.unflushedBytes - before).toBeGreaterThanOrEqual(1 << 20);
    const written = engine.unflushedBytes;
    await engine.close();
    expect(engine.unflushedBytes).toBe(written);
  });

  it('keeps rows of all columns across a close', async () => {
    const directory = freshDirectory();
    const first = await RocksEngine.open(directory);
    const batch = first.batch();
    batch.put('event', Buffer.alloc(12), Buffer.from('event'));
    batch.put('meta', Buffer.from('m'), Buffer.from('meta'));
    batch.put('version', Buffer.from('v'), Buffer.from('version'));
    first.write(batch);
    await first.close();
    const second = await RocksEngine.open(directory);
    expect(second.get('event', Buffer.alloc(12))?.toString()).toBe('event');
    expect(second.get('meta', Buffer.from('m'))?.toString()).toBe('meta');
    expect(second.get('version', Buffer.from('v'))?.toString()).toBe('version');
    await second.close();
  });

  it('keeps rows that are put next to deleted rows of another column in their family', async () => {
    const engine = await RocksEngine.open(freshDirectory());
    const put = (column: Column, key: string): void => {
      const batch = engine.batch();
      batch.put(column, Buffer.from(key), Buffer.from(key));
      engine.write(batch);
    };
    // So many deletions are searched for runs at once, and not in a later turn.
    const deleteLeases = (prefix: string): void => {
      for (let times = 0; times < 8; times += 1) {
        const batch = engine.batch();
        for (let n = 0; n < 4096; n += 1) batch.del('lease', Buffer.from(`${prefix}${String(n + 1000)}`));
        engine.write(batch);
      }
    };
    put('version', 'z');
    deleteLeases('b');
    // Rows of both columns follow those of the leases. No row is between them and the first version so far.
    put('version', 'a');
    put('meta', 'm');
    deleteLeases('a');
    expect(engine.get('version', Buffer.from('a'))?.toString()).toBe('a');
    expect(engine.get('meta', Buffer.from('m'))?.toString()).toBe('m');
    await engine.close();
  });

  it('keeps a row among deleted ones when searches end without an answer', async () => {
    const engine = await RocksEngine.open(freshDirectory());
    const key = Buffer.from('1500 is kept');
    const kept = engine.batch();
    kept.put('lease', key, key);
    engine.write(kept);
    const search = vi
      .spyOn(rocksBinding(), 'iterator_nextv_sync')
      .mockImplementation(() => ({ rows: [], finished: false }));
    try {
      const batch = engine.batch();
      for (let n = 0; n < 8192; n += 1) batch.del('lease', Buffer.from(String(n + 1000)));
      engine.write(batch);
      expect(search).toHaveBeenCalled();
    } finally {
      search.mockRestore();
    }
    expect(engine.get('lease', key)).toEqual(key);
    await engine.close();
  });

  it('refuses every call while it is reopened, also from workers', async () => {
    const engine = await RocksEngine.open(freshDirectory());
    const view = engine.view();
    let recalled = false;
    engine.lend(() => {
      recalled = true;
      return new Promise((resolve) => setTimeout(resolve, 50));
    });
    const reopening = engine.reopen();
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(recalled).toBe(true);
    expect(() => engine.get('latest', Buffer.from('a'))).toThrow(EngineReopenedError);
    expect(() => engine.view()).toThrow(EngineReopenedError);
    expect(() => engine.lend(() => Promise.resolve())).toThrow(EngineReopenedError);
    expect(() => [...view.scan('event', { gte: Buffer.alloc(0) })]).toThrow(EngineReopenedError);
    expect(engine.sizes().total).toBeGreaterThan(0);
    await reopening;
    expect(engine.get('latest', Buffer.from('a'))).toBeUndefined();
    engine.view().close();
    await engine.close();
  });

  it('cannot be opened a second time while it is open', async () => {
    const directory = freshDirectory();
    const engine = await RocksEngine.open(directory);
    await expect(RocksEngine.open(directory)).rejects.toMatchObject({ code: 'LEVEL_LOCKED' });
    await engine.close();
  });

  it('reads on a worker thread what this thread wrote', async () => {
    const engine = await RocksEngine.open(freshDirectory());
    const batch = engine.batch();
    batch.put('latest', Buffer.from('a'), Buffer.from('1'));
    engine.write(batch);
    const source = `
      const { workerData, parentPort } = require('node:worker_threads');
      const binding = require('@nxtedition/rocksdb/binding.js');
      const database = binding.db_init(workerData);
      const families = binding.db_open(database, {}, () => {});
      const [value] = binding.db_get_many_sync(database, [Buffer.from('a')], { column: families.latest });
      parentPort.postMessage(value.toString());
    `;
    const worker = new Worker(source, { eval: true, workerData: engine.sharedHandle });
    const answer = await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    await worker.terminate();
    expect(answer).toBe('1');
    await engine.close();
  });
});
