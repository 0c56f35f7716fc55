import { readdirSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { scanLog } from '../../src/storage/wal/log-scan.ts';
import { segmentBytesFor } from '../../src/storage/wal/segment-bytes.ts';
import { listSegments } from '../../src/storage/wal/segment-name.ts';
import { openStorage, type Storage } from '../../src/storage/open-storage.ts';
import { Entry } from '../../src/wire/gen/raftpb.ts';
import { EngineFullError, type Engine } from '../../src/ports/engine.ts';
import { canMount, mount, type Mount } from './mounts.ts';

const tmpfs = ['-t', 'tmpfs', '-o', 'size=160m', 'tmpfs'];
const MEBIBYTE = 1 << 20;

const noise = (seed: number, length: number): Buffer => {
  const bytes = Buffer.alloc(length);
  let state = seed >>> 0;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
};

const eventKey = (index: number): Buffer => {
  const key = Buffer.alloc(12);
  key.writeUInt32BE(index, 4);
  return key;
};

/** Fills the disk up to about `bytes`, while the store continues to rewrite its files. */
function leave(bytes: number, path: string, ballast: string): void {
  for (;;) {
    const { bavail, bsize } = statfsSync(path);
    try {
      writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize - bytes)));
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      rmSync(ballast, { force: true });
    }
  }
}

/** Whether the segment that is being written, and the next one if it has been begun, are filled with zeros. */
function isPrepared({ directory: { wal }, space }: Storage): boolean {
  const begun = readdirSync(wal).filter((name) => name.endsWith('.tmp'));
  const tail = listSegments(wal).at(-1)?.name ?? '';
  return [tail, ...begun].every((name) => statSync(join(wal, name)).size === segmentBytesFor(space.capacity));
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(20);
}

describe.skipIf(!canMount(...tmpfs))('full disk (needs root)', () => {
  let disk: Mount;
  let storage: Storage;
  let failure: Error | undefined;
  let index = 0;
  beforeAll(async () => {
    disk = mount(...tmpfs);
    storage = await openStorage({
      dataDirectory: join(disk.path, 'data'),
      newMetadata: () => Buffer.from('metadata'),
      onFailure: (error) => {
        failure = error;
      },
    });
  });
  afterAll(async () => {
    await storage.close();
    disk.unmount();
  });

  const isOpen = (): boolean => storage.space.hasRoom && storage.log.room >= 8192;
  const appended = (): Promise<void> =>
    new Promise((resolve) => {
      const entries = [Entry.create({ index: ++index, term: 1, data: noise(index, 8000) })];
      storage.log.append({ entries, hardState: undefined }, resolve);
    });
  const apply = (engine: Engine, at: number): void => {
    const batch = engine.batch();
    batch.put('event', eventKey(at), noise(at, 8000));
    engine.write(batch);
  };

  it('refuses writes before anything fails, and accepts them again when there is space', async () => {
    for (let round = 0; round < 2; round++) {
      const ballast = join(disk.path, 'ballast');
      writeFileSync(ballast, Buffer.alloc(40 * MEBIBYTE));
      for (const start = index; isOpen() && index < start + 20_000;) {
        await appended();
        apply(storage.engine, index);
      }
      expect(isOpen()).toBe(false);
      expect(storage.engine.get('event', eventKey(1))).toEqual(noise(1, 8000));
      rmSync(ballast);
      await until(isOpen);
      await appended();
      apply(storage.engine, index);
    }
    expect(failure).toBeUndefined();
  });

  it('loses no applied row when the engine finds the disk full, and continues afterwards', async () => {
    const ballast = join(disk.path, 'ballast');
    leave(12 * MEBIBYTE, disk.path, ballast);
    let at = index;
    expect(() => {
      for (const end = at + 20_000; at < end;) apply(storage.engine, ++at);
    }).toThrow(EngineFullError);
    expect(storage.engine.get('event', eventKey(at - 1))).toEqual(noise(at - 1, 8000));
    expect(storage.engine.get('event', eventKey(at))).toBeUndefined();
    rmSync(ballast);
    await storage.engine.reopen();
    expect(storage.engine.get('event', eventKey(at - 1))).toEqual(noise(at - 1, 8000));
    expect(storage.engine.get('event', eventKey(at))).toBeUndefined();
    apply(storage.engine, at);
    expect(storage.engine.get('event', eventKey(at))).toEqual(noise(at, 8000));
    expect(failure).toBeUndefined();
  });

  it('the log uses its prepared segments, and reports when there are none left', async () => {
    const ballast = join(disk.path, 'ballast');
    // A writer that has caught up with the zeros has no reserve when the disk becomes full.
    await until(() => isPrepared(storage));
    leave(MEBIBYTE / 2, disk.path, ballast);
    for (const start = index; storage.log.room >= 8192 && index < start + 20_000;) await appended();
    expect(storage.log.room).toBeLessThan(8192);
    // Raft's own entries are still appended.
    for (let n = 0; n < 20; n++) await appended();
    expect(failure).toBeUndefined();
    rmSync(ballast);
    await until(() => storage.log.room >= 8192);
    await appended();
    const { wal } = storage.directory;
    const { entries } = scanLog(wal, listSegments(wal), { keepsEntries: true });
    expect(entries.at(-1)).toMatchObject({ index, data: noise(index, 8000) });
  });
});
