import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { ConfState } from '../wire/gen/raftpb.ts';
import { appended, entry, state } from './log-store.cases.ts';
import { RocksEngine } from './rocks-engine.ts';
import { openForTest as open } from './testing/open-for-test.ts';
import { beginMaking, finishMaking } from './unfinished.ts';
import { nodeDisk } from './wal/node-disk.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-storage-'));
let opened = 0;
const freshDirectory = (): string => join(root, String(opened++));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('storage', () => {
  it('creates a data directory with access only for its owner', async () => {
    const directory = freshDirectory();
    const storage = await open(directory);
    expect(storage.isNew).toBe(true);
    for (const path of ['', 'member/wal', 'member/snap', 'member/rocksdb']) {
      expect(statSync(join(directory, path)).mode & 0o777).toBe(0o700);
    }
    await storage.close();
  });

  it('is new until its log holds something', async () => {
    const directory = freshDirectory();
    await (await open(directory)).close();
    const again = await open(directory);
    expect(again.isNew).toBe(true);
    await new Promise<void>((done) => {
      again.log.append({ entries: [], hardState: { term: 1, vote: 1n, commit: 0 } }, done);
    });
    await again.close();
    const used = await open(directory);
    expect(used.isNew).toBe(false);
    await used.close();
  });

  it('does not hold the entries of the log for as long as the member runs', async () => {
    const directory = freshDirectory();
    const first = await open(directory);
    await appended(
      first.log,
      [1, 2, 3].map((index) => entry(index)),
      state(1, 3),
    );
    await first.log.release({ index: 2, term: 1, confState: ConfState.create({ voters: [1n, 2n] }) });
    await first.close();
    const storage = await open(directory);
    expect([storage.contents.earlier.length, storage.contents.entries.length]).toEqual([2, 1]);
    storage.forgetEntries();
    expect([storage.contents.earlier, storage.contents.entries]).toEqual([[], []]);
    expect(storage.contents.snapshot.index).toBe(2);
    await storage.close();
  });

  it('reads the log while the store is being opened', async () => {
    const directory = freshDirectory();
    await (await open(directory)).close();
    const order: string[] = [];
    const openStore = RocksEngine.open.bind(RocksEngine);
    const store = vi.spyOn(RocksEngine, 'open').mockImplementation(async (path, options) => {
      const engine = await openStore(path, options);
      order.push('the store is open');
      return engine;
    });
    const openToRead = nodeDisk.openToRead.bind(nodeDisk);
    const log = vi.spyOn(nodeDisk, 'openToRead').mockImplementation((path) => {
      order.push('the log is read');
      return openToRead(path);
    });
    const storage = await open(directory);
    expect(order.slice(0, 2)).toEqual(['the log is read', 'the store is open']);
    store.mockRestore();
    log.mockRestore();
    await storage.close();
  });

  it('refuses a directory in use, before it touches the log', async () => {
    const directory = freshDirectory();
    const storage = await open(directory);
    const ofTheOther = ['wal/0.tmp', 'rocksdb.building/1', 'rocksdb.received/1', 'rocksdb.replaced/1'].map(
      (name) => join(directory, 'member', name),
    );
    for (const path of ofTheOther) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, '');
    }
    await expect(open(directory)).rejects.toThrow(`${directory} is in use by another process`);
    expect(ofTheOther.filter((path) => !existsSync(path))).toEqual([]);
    await storage.close();
    await (await open(directory)).close();
    expect(ofTheOther.filter((path) => existsSync(path) && path.includes('rocksdb'))).toEqual([]);
  });

  it('refuses a store with data and no log, and creates a log for an empty store', async () => {
    const directory = freshDirectory();
    const storage = await open(directory);
    const batch = storage.engine.batch();
    batch.put('meta', Buffer.from('a'), Buffer.from('1'));
    storage.engine.write(batch);
    await storage.close();
    const moved = `${directory}.wal`;
    renameSync(join(directory, 'member/wal'), moved);
    await expect(open(directory)).rejects.toThrow('there is no log in');
    expect(existsSync(join(directory, 'member/wal'))).toBe(false);
    renameSync(moved, join(directory, 'member/wal'));
    await (await open(directory)).close();
    const young = freshDirectory();
    await (await open(young)).close();
    rmSync(join(young, 'member/wal'), { recursive: true });
    const again = await open(young);
    expect(again.isNew).toBe(true);
    await again.close();
  });

  it.each([
    ['with', true],
    ['without', false],
  ])('refuses a directory of etcd %s a log, and does not change it', async (_word, hasLog) => {
    const directory = freshDirectory();
    if (hasLog) {
      await (await open(directory)).close();
      rmSync(join(directory, 'member/rocksdb'), { recursive: true });
    }
    mkdirSync(join(directory, 'member/snap'), { recursive: true });
    writeFileSync(join(directory, 'member/snap/db'), 'a database');
    const before = readdirSync(directory, { recursive: true }).sort();
    await expect(open(directory)).rejects.toThrow(`run "keystead import --from ${directory}`);
    expect(readdirSync(directory, { recursive: true }).sort()).toEqual(before);
  });

  it('refuses a directory left incomplete by an import or a restore', async () => {
    const directory = freshDirectory();
    const { directory: places, close } = await open(directory);
    await close();
    beginMaking(places, 'import');
    await expect(open(directory)).rejects.toThrow('was interrupted');
    finishMaking(places);
    await (await open(directory)).close();
  });

  it('refuses a path that is not a directory', async () => {
    const path = freshDirectory();
    writeFileSync(path, '');
    await expect(open(path)).rejects.toThrow(path);
  });
});
