import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { RocksEngine } from './rocks-engine.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-rocks-'));
let opened = 0;
const freshDirectory = (): string => join(root, String(opened++));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('rocksdb', () => {
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
    for (let n = 1; n <= 160; n++) {
      const batch = engine.batch();
      const key = Buffer.alloc(12);
      key.writeUInt32BE(n, 4);
      batch.put('event', key, value);
      batch.put('latest', Buffer.from(`key-${n % 10}`), key);
      engine.write(batch);
      // As between the turns of a server, the bound has time to work.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await vi.waitFor(() => expect(logBytes()).toBeLessThan(80 << 20), { timeout: 10_000, interval: 50 });
    expect(engine.get('latest', Buffer.from('key-0'))?.readUInt32BE(4)).toBe(160);
    await engine.close();
  });
});
