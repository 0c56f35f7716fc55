import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { AlarmStore } from '../apply/alarms.ts';
import { stageAppliedState } from '../apply/applied-state.ts';
import { AuthStore } from '../auth/auth-store.ts';
import { BoltReader } from '../bbolt/reader.ts';
import { Cluster } from '../membership/cluster.ts';
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
import { bucket, database } from './testing/databases.ts';
import { exportInline, hashOf, History, rowsOf } from './testing/history.ts';
import { compareAfterCompactions, compareRoundTrip, importInline } from './testing/round-trip.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-snapshot-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let made = 0;
const fresh = (): string => join(root, `${made++}`);

describe('a store exported and imported', () => {
  it('is the same, column by column', () => compareRoundTrip(fresh, 1));

  it('comes through compactions', () => compareAfterCompactions(fresh, 5));

  it('brings users, roles, members, alarms and versions along', async () => {
    const { engine } = await History.make(fresh(), 8);
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

    const other = await importInline(fresh(), exportInline(engine));
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
  it('becomes the same store when it is imported', async () => {
    const history = await History.make(fresh(), 21);
    history.run(100);
    const snapshot = await exportSnapshot(history.engine);
    const chunks: Buffer[] = [];
    for await (const chunk of snapshot.chunks()) chunks.push(chunk);
    const file = Buffer.concat(chunks);
    expect(file.length).toBe(snapshot.totalBytes);
    expect(snapshot.sha256).toEqual(createHash('sha256').update(file).digest());
    const path = fresh();
    writeFileSync(`${path}.db`, file);
    expect((await importSnapshot({ file: `${path}.db`, directory: path })).index).toBe(history.index);
    const engine = await RocksEngine.open(path);
    expect(hashOf(engine)).toEqual(hashOf(history.engine));
    await engine.close();
    await history.engine.close();
  });
});

describe('a file that cannot be imported', () => {
  it('is refused with the reason', async () => {
    const engine = await RocksEngine.open(fresh());
    for (const [bytes, reason] of [
      [Buffer.alloc(9000), 'not the beginning of a bbolt database'],
      [database({ meta: bucket([]) }), 'there is no bucket "key"'],
      [database({ key: bucket([['x', Buffer.alloc(1)]]) }), 'bucket "key": 78 is no revision'],
    ] as const) {
      const file = fresh();
      writeFileSync(file, bytes);
      expect(() => importFile({ file, engine })).toThrow(reason);
    }
    await engine.close();
  });

  it('may come from an etcd that did not keep raft state in it', async () => {
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
    const { engine } = await History.make(fresh(), 9);
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
