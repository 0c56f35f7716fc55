import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, it } from 'vitest';
import { engineCases } from './engine.cases.ts';
import { EngineReopenedError } from '../ports/engine.ts';
import { RocksEngine } from './rocks-engine.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-rocks-'));
let opened = 0;
const freshDirectory = (): string => join(root, String(opened++));
afterAll(() => rmSync(root, { recursive: true, force: true }));

engineCases('rocksdb', () => RocksEngine.open(freshDirectory()));

describe('rocksdb', () => {
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

  it('frees the space of deleted rows on request', async () => {
    const engine = await RocksEngine.open(freshDirectory());
    const key = (n: number): Buffer => {
      const bytes = Buffer.alloc(12);
      bytes.writeUInt32BE(n, 4);
      return bytes;
    };
    for (let n = 0; n < 20_000; n++) {
      const batch = engine.batch();
      batch.put('event', key(n), randomBytes(1024));
      engine.write(batch);
    }
    await engine.compactFiles();
    const before = engine.sizes().total;
    expect(before).toBeGreaterThan(20_000_000);
    const batch = engine.batch();
    for (let n = 0; n < 20_000; n++) if (n % 10 !== 0) batch.del('event', key(n));
    engine.write(batch);
    await engine.compactFiles();
    expect(engine.sizes().total).toBeLessThan(before / 3);
    expect(engine.get('event', key(10))?.length).toBe(1024);
    expect(engine.get('event', key(11))).toBeUndefined();
    await engine.close();
  });

  it('keeps its log short when large values are put under few keys', async () => {
    const directory = freshDirectory();
    const engine = await RocksEngine.open(directory);
    const value = randomBytes(1 << 20);
    const logBytes = (): number =>
      readdirSync(directory)
        .filter((name) => name.endsWith('.log'))
        .reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
    let longest = 0;
    for (let n = 1; n <= 160; n++) {
      const batch = engine.batch();
      const key = Buffer.alloc(12);
      key.writeUInt32BE(n, 4);
      batch.put('event', key, value);
      batch.put('latest', Buffer.from(`key-${n % 10}`), key);
      engine.write(batch);
      longest = Math.max(longest, logBytes());
      // As between the turns of a server, the bound has time to work.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(longest).toBeLessThan(100 << 20);
    expect(engine.get('latest', Buffer.from('key-0'))?.readUInt32BE(4)).toBe(160);
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
