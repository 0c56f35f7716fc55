import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataDirectory } from '../../src/storage/data-dir.ts';
import { RocksEngine } from '../../src/storage/rocks-engine.ts';
import { type Member, type MemberKind } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { eventually } from '../harness/wait.ts';
import { TestCluster } from './test-cluster.ts';

const missing = missingPeers('etcd', 'etcdctl');

/** Changes one value of a stopped member, like a faulty disk. */
async function damage(member: Member): Promise<void> {
  const engine = await RocksEngine.open(join(dataDirectory(member.dataDir).rocksdb));
  const rows = engine.iterate('event', { gte: Buffer.alloc(0), reverse: true });
  const [key, value] = rows.next(1);
  rows.close();
  if (key === undefined || value === undefined) throw new Error('there is something to damage');
  value.writeUInt8(value.readUInt8(value.length - 1) ^ 1, value.length - 1);
  const batch = engine.batch();
  batch.put('event', key, value);
  engine.write(batch);
  await engine.close();
}

const mixes: readonly (readonly [string, readonly MemberKind[]])[] = [
  ['three Keystead', ['keystead', 'keystead', 'keystead']],
  ['two Keystead and one etcd', ['keystead', 'keystead', 'etcd']],
];

describe.skipIf(missing !== undefined)(`a damaged member ${missing ?? ''}`, () => {
  describe.each(mixes)('of %s', (_mix, kinds) => {
    let cluster: TestCluster;
    beforeAll(async () => {
      cluster = await TestCluster.create(kinds, ['--corrupt-check-time=1s', '--log-level=info']);
      for (let key = 0; key < 20; key += 1) await cluster.ctl().ok(['put', `key/${key}`, `value ${key}`]);
      await cluster.settled();
    });
    afterAll(() => cluster.destroy());

    it('is detected while the cluster runs, and the cluster then refuses writes', async () => {
      const [damaged] = cluster.members;
      if (damaged === undefined) throw new Error('there is a first member');
      const id = await cluster.idOf(damaged);
      await damaged.stop();
      await damage(damaged);
      // It may be detected before it reports that it is healthy. Then it never does.
      void damaged.start().catch(() => undefined);
      const [, other] = cluster.members;
      if (other === undefined) throw new Error('there is a second member');
      await cluster.moveLeader(other);
      const alarms = await eventually(
        'the alarm',
        async () => {
          const listed = await cluster.ctl(other).ok(['alarm', 'list']);
          return listed.includes('CORRUPT') ? listed : undefined;
        },
        { timeoutMs: 30_000 },
      );
      expect(alarms).toContain(`memberID:${BigInt(`0x${id}`)}`);
      const refused = await cluster.ctl(other).run(['put', 'key', 'value']);
      expect(refused.stderr).toContain('etcdserver: corrupt cluster');
      expect((await cluster.ctl(other).run(['get', 'key/1'])).stdout).toContain('value 1');
    });
  });

  it('does not start with the initial corruption check', async () => {
    const cluster = await TestCluster.create(
      ['keystead', 'keystead', 'keystead'],
      ['--feature-gates=InitialCorruptCheck=true'],
    );
    try {
      for (let key = 0; key < 20; key += 1) await cluster.ctl().ok(['put', `key/${key}`, `value ${key}`]);
      await cluster.settled();
      const [damaged, whole] = cluster.members;
      if (damaged === undefined || whole === undefined) throw new Error('there are members');
      await whole.restart();
      await damaged.stop();
      await damage(damaged);
      await expect(damaged.start()).rejects.toThrow('found data inconsistency with peers');
    } finally {
      await cluster.destroy();
    }
  });

  it('is detected by the hashes of compactions', async () => {
    const cluster = await TestCluster.create(
      ['keystead', 'keystead', 'keystead'],
      ['--feature-gates=CompactHashCheck=true', '--compact-hash-check-time=1s'],
    );
    try {
      for (let key = 0; key < 20; key += 1) await cluster.ctl().ok(['put', `key/${key}`, `value ${key}`]);
      await cluster.settled();
      const [damaged, other] = cluster.members;
      if (damaged === undefined || other === undefined) throw new Error('there are members');
      const corrupt = String(BigInt(`0x${await cluster.idOf(damaged)}`));
      await damaged.stop();
      await damage(damaged);
      await damaged.start();
      await cluster.moveLeader(other);
      await cluster.ctl(other).ok(['put', 'key', 'value']);
      const { Status } = (await cluster.statuses())[0] ?? { Status: { header: { revision: 0 } } };
      await cluster.ctl(other).ok(['compaction', String(Status.header.revision)]);
      await eventually(
        'the alarm',
        async () =>
          /memberID:(\d+)\s+alarm:CORRUPT/.exec(await cluster.ctl(other).ok(['alarm', 'list']))?.[1] ===
          corrupt,
        { timeoutMs: 30_000 },
      );
    } finally {
      await cluster.destroy();
    }
  });
});
