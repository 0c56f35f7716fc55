import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { RocksEngine } from '../storage/rocks-engine.ts';
import { exportSnapshot } from './export-snapshot.ts';
import { importSnapshot } from './import-snapshot.ts';
import { hashOf, History } from './testing/history.ts';
import { compareAfterCompactions, compareRoundTrip } from './testing/round-trip.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-snapshot-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let made = 0;
const fresh = (): string => join(root, `${made++}`);

describe('a store exported and imported', () => {
  it.each([1, 2, 3, 4])('is the same, column by column, seed %i', (seed) => compareRoundTrip(fresh, seed));

  it.each([5, 6])('comes through compactions, finished and not, seed %i', (seed) =>
    compareAfterCompactions(fresh, seed),
  );
});

describe('an export on a worker', () => {
  it('is consistent during writes and compactions', async () => {
    const history = await History.make(fresh(), 21);
    history.run(1500);
    const hashes = new Map<number, unknown>([[history.index, hashOf(history.engine)]]);
    let isOpen = false;
    const opening = exportSnapshot(history.engine).finally(() => {
      isOpen = true;
    });
    while (!isOpen) {
      history.run(20);
      hashes.set(history.index, hashOf(history.engine));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const snapshot = await opening;
    history.compact(history.store.revision - 10);
    expect(snapshot.confState.voters).toEqual([1n, 2n ** 64n - 1n]);
    expect(snapshot).toMatchObject({ term: 3, storageVersion: '3.7.0' });
    const chunks: Buffer[] = [];
    for await (const chunk of snapshot.chunks()) {
      expect(snapshot.sha256).toBeUndefined();
      chunks.push(chunk);
    }
    const file = Buffer.concat(chunks);
    expect(file.length).toBe(snapshot.totalBytes);
    const sha256 = createHash('sha256').update(file).digest();
    expect(snapshot.sha256).toEqual(sha256);

    const path = fresh();
    writeFileSync(`${path}.db`, Buffer.concat([file, sha256]));
    const state = await importSnapshot({ file: `${path}.db`, directory: path });
    expect(state.index).toBe(snapshot.index);
    const engine = await RocksEngine.open(path);
    expect(hashOf(engine)).toEqual(hashes.get(snapshot.index));
    await engine.close();
    await history.engine.close();
  });

  it('can be closed at any time, and tells a waiting reader', async () => {
    const history = await History.make(fresh(), 22);
    history.run(4000);
    const early = await exportSnapshot(history.engine);
    expect((await early.read())?.length).toBeGreaterThan(4096);
    await early.close();
    await early.close();
    const late = await exportSnapshot(history.engine);
    let bytes = 0;
    for await (const chunk of late.chunks()) if ((bytes += chunk.length) > 300_000) break;
    expect(bytes).toBeGreaterThan(0);
    const third = await exportSnapshot(history.engine);
    for (let chunk = await third.read(); chunk !== undefined;) chunk = await third.read();
    expect(await third.read()).toBeUndefined();
    await third.close();
    history.run(10);
    await history.engine.close();
  });
});

describe('an export that is read again', () => {
  it('is the same file from any place on, whatever is written meanwhile', async () => {
    const history = await History.make(fresh(), 24);
    history.run(3000);
    const snapshot = await exportSnapshot(history.engine);
    const read = async (offset: number, most = Infinity): Promise<Buffer> => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      for await (const chunk of snapshot.from(offset)) {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes >= most) break;
      }
      return Buffer.concat(chunks);
    };
    const file = await read(0);
    expect(file.length).toBe(snapshot.totalBytes);
    const sha256 = createHash('sha256').update(file).digest();
    expect(snapshot.sha256).toEqual(sha256);
    history.run(500);
    history.compact(history.store.revision - 10);
    for (const offset of [0, 1, 4096, 300_001, file.length - 1]) {
      await read(7, 100_000);
      expect((await read(offset)).equals(file.subarray(offset))).toBe(true);
      expect(snapshot.sha256).toEqual(sha256);
    }
    expect((await read(file.length)).length).toBe(0);
    // An earlier iterator ends when a new one has started.
    const early = snapshot.from(0)[Symbol.asyncIterator]();
    expect((await early.next()).done).not.toBe(true);
    expect((await read(0)).equals(file)).toBe(true);
    expect((await early.next()).done).toBe(true);
    expect(snapshot.isOpen).toBe(true);
    await snapshot.close();
    expect(snapshot.isOpen).toBe(false);
    await history.engine.close();
  });
});

describe('an export of a store that is closed meanwhile', () => {
  it('ends with an error, whether it was begun or not', async () => {
    const history = await History.make(fresh(), 23);
    history.run(4000);
    const begun = await exportSnapshot(history.engine);
    expect((await begun.read())?.length).toBeGreaterThan(0);
    const early = exportSnapshot(history.engine);
    const refused = expect(early).rejects.toThrow('the snapshot was closed before its end');
    await history.engine.reopen();
    await refused;
    await expect(
      (async () => {
        for (let chunk = await begun.read(); chunk !== undefined;) chunk = await begun.read();
      })(),
    ).rejects.toThrow('the snapshot was closed before its end');
    const after = await exportSnapshot(history.engine);
    expect(after.index).toBe(history.index);
    await history.engine.close();
  });

  it('also ends with an error if it was read completely before and is read again', async () => {
    const history = await History.make(fresh(), 24);
    history.run(100);
    const snapshot = await exportSnapshot(history.engine);
    let bytes = 0;
    for await (const chunk of snapshot.from(0)) bytes += chunk.length;
    expect(bytes).toBe(snapshot.totalBytes);
    await history.engine.reopen();
    const again = snapshot.from(1)[Symbol.asyncIterator]();
    await expect(again.next()).rejects.toThrow('the snapshot was closed before its end');
    await history.engine.close();
  });
});
