import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { AlarmStore } from '../apply/alarms.ts';
import { stageAppliedState } from '../apply/applied-state.ts';
import { AuthStore } from '../auth/auth-store.ts';
import { BoltReader } from '../bbolt/reader.ts';
import { type BucketContents, databaseChunks, measureDatabase } from '../bbolt/writer.ts';
import { verifyStore } from '../cli/verify-store.ts';
import { SeededRandom } from '../lib/seeded-random.ts';
import { Lessor } from '../lease/lessor.ts';
import { Cluster } from '../membership/cluster.ts';
import { CompactionJob } from '../mvcc/compaction.ts';
import { HashJob, hashScope } from '../mvcc/hash.ts';
import { MvccStore } from '../mvcc/store.ts';
import type { Column, Engine } from '../ports/engine.ts';
import { RocksEngine } from '../storage/rocks-engine.ts';
import { AlarmType, AuthUserAddRequest } from '../wire/gen/etcdserverpb.ts';
import { ConfState } from '../wire/gen/raftpb.ts';
import { BackendContents } from './backend-contents.ts';
import { confStateFromJson, confStateToJson } from './conf-state-json.ts';
import { exportSnapshot } from './export-snapshot.ts';
import { importFile } from './import-task.ts';
import { importSnapshot } from './import-snapshot.ts';
import { membershipData } from './membership-data.ts';
import { parseRevisionKey, revisionKey } from './schema.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-snapshot-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let made = 0;
const fresh = (): string => join(root, `${made++}`);

const noClock = { now: () => 0 };

/** A store with a random history, as entries would leave it. */
class History {
  readonly engine: RocksEngine;
  readonly store: MvccStore;
  readonly random: SeededRandom;
  readonly lessor: Lessor;
  #index = 10;

  private constructor(engine: RocksEngine, seed: number) {
    this.engine = engine;
    this.store = new MvccStore(engine);
    this.random = new SeededRandom(seed);
    this.lessor = new Lessor({ engine, clock: noClock as never, minTtl: 1, checkpoints: false });
  }

  static async make(seed: number): Promise<History> {
    return new History(await RocksEngine.open(fresh()), seed);
  }

  get index(): number {
    return this.#index;
  }

  commit(): void {
    const batch = this.engine.batch();
    this.store.stage(batch);
    this.lessor.stage(batch);
    this.#index += 1;
    stageAppliedState(batch, {
      index: this.#index,
      term: 3,
      confState: ConfState.create({ voters: [1n, 2n ** 64n - 1n], learners: [7n] }),
    });
    this.engine.write(batch);
    this.store.committed();
  }

  run(transactions: number): void {
    const { random, store, lessor } = this;
    for (let lease = 1n; lease <= 5n; lease += 1n) if (!lessor.lookup(lease)) lessor.grant(lease, 100);
    for (let n = 0; n < transactions; n += 1) {
      const txn = store.begin();
      for (let change = 0; change <= random.int(4); change += 1) {
        const key = Buffer.from(`key/${random.int(200)}`);
        const previous = txn.get(key);
        if (previous !== undefined && previous.lease !== 0n) lessor.detach(previous.lease, key);
        if (random.int(4) === 0) txn.deleteRange({ start: key, end: undefined, single: true });
        else {
          const lease = random.int(3) === 0 ? BigInt(1 + random.int(5)) : 0n;
          txn.put(key, random.bytes(random.int(50) === 0 ? 20_000 : random.int(300)), lease);
          if (lease !== 0n) lessor.attach(lease, key);
        }
      }
      txn.end();
      if (random.int(10) === 0) this.commit();
    }
    this.commit();
  }

  compact(revision: number, isFinished = true): void {
    const batch = this.engine.batch();
    expect(this.store.compact(revision, batch)).toBeUndefined();
    this.engine.write(batch);
    const job = new CompactionJob(this.store, revision);
    for (let done = false; !done;) {
      const slice = this.engine.batch();
      done = job.step(slice, 50);
      this.engine.write(slice);
      if (!isFinished) return job.cancel();
    }
  }
}

function hashOf(engine: Engine, revision = 0): unknown {
  const job = new HashJob(hashScope(new MvccStore(engine), revision));
  while (!job.step(500));
  return job.result();
}

function fileOf(contents: BucketContents): Buffer {
  return Buffer.concat([...databaseChunks(contents, measureDatabase(contents), 1 << 16)]);
}

function exportInline(engine: RocksEngine): Buffer {
  const view = engine.view();
  const file = fileOf(new BackendContents(view));
  view.close();
  return file;
}

function rowsOf(engine: Engine, column: Column): string[] {
  const rows: string[] = [];
  const iterator = engine.iterate(column, { gte: Buffer.alloc(0) });
  for (let batch = iterator.next(1000); batch.length > 0; batch = iterator.next(1000))
    for (let n = 0; n < batch.length; n += 2)
      rows.push(`${batch[n]?.toString('hex') ?? ''}=${batch[n + 1]?.toString('hex') ?? ''}`);
  iterator.close();
  return rows;
}

async function importInline(file: Buffer): Promise<{ engine: RocksEngine; path: string }> {
  const path = fresh();
  writeFileSync(`${path}.db`, file);
  const engine = await RocksEngine.open(path);
  importFile({ file: `${path}.db`, engine });
  return { engine, path };
}

describe('a store exported and imported', () => {
  it.each([1, 2, 3, 4])('is the same, column by column, seed %i', async (seed) => {
    const history = await History.make(seed);
    history.run(600);
    const { engine } = await importInline(exportInline(history.engine));
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
  });

  it.each([5, 6])('comes through compactions, finished and not, seed %i', async (seed) => {
    const history = await History.make(seed);
    history.run(300);
    history.compact(150);
    history.run(300);
    history.compact(400, seed === 5);
    history.run(50);
    const { engine } = await importInline(exportInline(history.engine));
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
  });

  it('brings users, roles, members, alarms and versions along', async () => {
    const { engine } = await History.make(8);
    const auth = new AuthStore({ engine });
    auth.addRole('reader');
    auth.addUser(AuthUserAddRequest.create({ name: 'ann', options: { noPassword: true } }));
    const cluster = new Cluster({ engine, localId: 2n ** 63n + 5n, id: 9n });
    const member = { id: 2n ** 63n + 5n, name: 'm', peerUrls: ['http://p'], clientUrls: [], isLearner: true };
    cluster.add(member);
    cluster.remove(77n);
    cluster.setVersion({ major: 3, minor: 6, patch: 0 });
    const alarms = new AlarmStore(engine);
    alarms.activate(3n, AlarmType.NOSPACE);
    const batch = engine.batch();
    for (const part of [auth, cluster, alarms]) part.stage(batch);
    stageAppliedState(batch, { index: 4, term: 2, confState: ConfState.create({ voters: [member.id] }) });
    engine.write(batch);
    const view = engine.view();
    expect(new BackendContents(view).state).toMatchObject({ index: 4, term: 2, storageVersion: '3.6.0' });
    view.close();

    const { engine: other } = await importInline(exportInline(engine));
    for (const column of ['auth', 'meta'] as const) {
      const rows = rowsOf(other, column).filter((row) => !row.startsWith('6d7663632f7265766973696f6e'));
      expect(rows).toEqual(rowsOf(engine, column));
    }
    const recovered = new Cluster({ engine: other, localId: member.id, id: 9n });
    expect(recovered.members()).toEqual([member]);
    expect(recovered.isRemoved(77n)).toBe(true);
    expect(new AlarmStore(other).isRaised(AlarmType.NOSPACE)).toBe(true);
    await other.close();
    await engine.close();
  });
});

describe('an export on a worker', () => {
  it('is consistent during writes and compactions', async () => {
    const history = await History.make(21);
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
    const history = await History.make(22);
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
    const history = await History.make(24);
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
    const history = await History.make(23);
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
    const history = await History.make(24);
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

describe('a file that cannot be imported', () => {
  const bucket = (elements: [string, Buffer][]): BucketContents => ({
    elements: () => elements.map(([key, value]) => ({ key: Buffer.from(key, 'latin1'), value })),
  });
  const database = (buckets: Record<string, BucketContents>): Buffer =>
    fileOf({
      elements: () =>
        Object.keys(buckets)
          .sort()
          .map((name) => ({ key: Buffer.from(name), bucket: buckets[name] ?? bucket([]) })),
    });
  const attempt = async (file: Buffer): Promise<void> => {
    const path = fresh();
    writeFileSync(`${path}.db`, file);
    try {
      await importSnapshot({ file: `${path}.db`, directory: path });
    } finally {
      expect(existsSync(path)).toBe(false);
    }
  };
  const revision = (main: number): string => revisionKey(main, 0, false).toString('latin1');

  it('is refused with the reason, and leaves nothing behind', async () => {
    await expect(attempt(Buffer.alloc(9000))).rejects.toThrow('not the beginning of a bbolt database');
    await expect(attempt(database({ meta: bucket([]) }))).rejects.toThrow('there is no bucket "key"');
    const later = { key: bucket([]), meta: bucket([['storageVersion', Buffer.from('3.8.0')]]) };
    await expect(attempt(database(later))).rejects.toThrow(
      'its schema is of version 3.8.0, later than 3.7.0',
    );
    await expect(attempt(database({ key: bucket([['x', Buffer.alloc(1)]]) }))).rejects.toThrow(
      'bucket "key": 78 is no revision',
    );
    await expect(
      attempt(database({ key: bucket([[revision(2), Buffer.from([0x0a, 0x7f])]]) })),
    ).rejects.toThrow('bucket "key": the change at 0000000000000002');
    const wrongMark = { key: bucket([]), meta: bucket([['finishedCompactRev', Buffer.from('x')]]) };
    await expect(attempt(database(wrongMark))).rejects.toThrow('finishedCompactRev is no revision: 78');
    const file = database({ key: bucket([]) });
    await expect(attempt(Buffer.concat([file, Buffer.alloc(32)]))).rejects.toThrow(
      'does not have the SHA-256 that stands at its end',
    );
    await expect(attempt(file.subarray(0, file.length - 512))).rejects.toThrow('the file is cut off');
  });

  it('is told from one of an etcd before raft state was kept in it', async () => {
    const path = fresh();
    writeFileSync(`${path}.db`, database({ key: bucket([]) }));
    const engine = await RocksEngine.open(path);
    const fallback = { term: 4, confState: ConfState.create({ voters: [3n] }) };
    expect(importFile({ file: `${path}.db`, engine, fallback })).toMatchObject({ index: 0, ...fallback });
    await engine.close();
  });
});

describe('the membership in a raft snapshot', () => {
  it('is a store of version 2', () => {
    const member = { id: 2n ** 64n - 1n, name: '', peerUrls: ['http://p'], clientUrls: [], isLearner: true };
    const data = membershipData({
      members: [member],
      removedIds: [7n],
      version: { major: 3, minor: 7, patch: 0 },
    });
    const { Root } = JSON.parse(data.toString()) as { Root: { Children: Record<string, unknown> } };
    const cluster = Root.Children['0'] as { Children: Record<string, { Value: string; Children: unknown }> };
    expect(Object.keys(cluster.Children)).toEqual(['members', 'removed_members', 'version']);
    expect(cluster.Children['version']?.Value).toBe('3.7.0');
    expect(JSON.stringify(cluster.Children['members'])).toContain(
      '"Path":"/0/members/ffffffffffffffff/raftAttributes"',
    );
  });
});

describe('values of the schema', () => {
  it('keep 64-bit ids exact in JSON', () => {
    const confState = ConfState.create({
      voters: [2n ** 64n - 1n, 5n],
      votersOutgoing: [9007199254740993n],
      learnersNext: [3n],
      autoLeave: true,
    });
    const json = confStateToJson(confState);
    expect(json.toString()).toBe(
      '{"voters":[18446744073709551615,5],"voters_outgoing":[9007199254740993],"learners_next":[3],"auto_leave":true}',
    );
    expect(confStateFromJson(json)).toEqual(confState);
    expect(confStateFromJson(Buffer.from('{}'))).toEqual(ConfState.create());
    for (const wrong of ['[1]x', '3', '{"voters":7}', '{"voters":[{}]}'])
      expect(() => confStateFromJson(Buffer.from(wrong))).toThrow();
  });

  it('name revisions as etcd does', () => {
    for (const [main, sub, isDelete] of [
      [1, 0, false],
      [2 ** 40 + 3, 7, true],
    ] as const)
      expect(parseRevisionKey(revisionKey(main, sub, isDelete))).toEqual({ main, sub, isDelete });
    expect(revisionKey(5, 0, true).toString('hex')).toBe('00000000000000055f000000000000000074');
    expect(parseRevisionKey(Buffer.alloc(17))).toBeUndefined();
  });

  it('are read from a database of the expected shape', async () => {
    const { engine } = await History.make(9);
    const reader = BoltReader.open({
      ...((file) => ({
        size: file.length,
        read: (at: number, length: number) => file.subarray(at, at + length),
      }))(exportInline(engine)),
    });
    expect([...reader.root.elements()].map(({ key }) => key.toString())).toEqual([
      ...['alarm', 'auth', 'authRoles', 'authUsers', 'cluster', 'key', 'lease', 'members', 'members_removed'],
      'meta',
    ]);
    await engine.close();
  });
});
