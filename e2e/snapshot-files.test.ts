import { join } from 'node:path';
import { createWriteStream, copyFileSync } from 'node:fs';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { HashJob, hashScope } from '../src/mvcc/hash.ts';
import { MvccStore } from '../src/mvcc/store.ts';
import { importDataDirectory } from '../src/cli/import.ts';
import { runSnapshot } from '../src/cli/restore.ts';
import { verifyDataDirectory } from '../src/cli/verify.ts';
import { verifyStore } from '../src/cli/verify-store.ts';
import { exportSnapshot } from '../src/snapshot/export-snapshot.ts';
import { importSnapshot } from '../src/snapshot/import-snapshot.ts';
import { RocksEngine } from '../src/storage/rocks-engine.ts';
import { SeededRandom } from '../src/lib/seeded-random.ts';
import { runCommand } from './harness/command.ts';
import { Etcdctl } from './harness/etcdctl.ts';
import { Member } from './harness/member.ts';
import { missingPeers, requirePeer } from './harness/paths.ts';
import { freePort } from './harness/ports.ts';
import { tempDir } from './harness/temp-dir.ts';

const missing = missingPeers('etcd', 'etcdctl', 'etcdutl');

interface Hash {
  hash: number;
  hash_revision: number;
  compact_revision: number;
}

/** Imports database files of a real etcd into Keystead's store and exports them again, without a server. */
describe.skipIf(missing !== undefined)(`database files ${missing ?? ''}`, () => {
  it('of a real etcd are imported, and exported for one, with nothing changed', async () => {
    const folder = tempDir('snapshot-files');
    const origin = await Member.start({ kind: 'etcd', name: 'origin' });
    const saved = join(folder, 'saved.db');
    let before: Store;
    let hashAt: Hash;
    try {
      const etcdctl = new Etcdctl(origin.endpoint);
      await fill(etcdctl, new SeededRandom(7));
      before = await describeStore(etcdctl);
      hashAt = await hashOf(etcdctl, before.hash.hash_revision - 5);
      await etcdctl.ok(['snapshot', 'save', saved]);
      await origin.stop();
      copyFileSync(join(origin.dataDir, 'member/snap/db'), join(folder, 'left.db'));
    } finally {
      await origin.destroy();
    }

    for (const file of [saved, join(folder, 'left.db')]) {
      const directory = `${file}-store`;
      const state = await importSnapshot({ file, directory });
      expect(state).toMatchObject({
        revision: before.hash.hash_revision,
        compactRevision: before.hash.compact_revision,
        storageVersion: '3.7.0',
      });
      expect(state.confState?.voters.length).toBe(1);
      const engine = await RocksEngine.open(directory);
      expect(verifyStore(engine).findings).toEqual([]);
      expect(storeHash(engine, 0)).toEqual(before.hash);
      expect(storeHash(engine, hashAt.hash_revision)).toEqual(hashAt);

      const exported = `${file}-exported.db`;
      await save(engine, exported);
      await engine.close();
      const status = async (path: string): Promise<unknown> => {
        const { hash, revision, totalKey, version } = JSON.parse(
          await etcdutl('snapshot', 'status', path, '--write-out=json'),
        ) as Record<string, unknown>;
        return { hash, revision, totalKey, version };
      };
      // The hash is over every key and value of every bucket.
      expect(await status(exported)).toEqual(await status(file));
    }

    const restored = join(folder, 'restored');
    const ports = { clientPort: await freePort(), peerPort: await freePort() };
    const peerUrl = `http://127.0.0.1:${ports.peerPort}`;
    await etcdutl(
      ...['snapshot', 'restore', `${saved}-exported.db`, '--name=restored', `--data-dir=${restored}`],
      ...[`--initial-cluster=restored=${peerUrl}`, `--initial-advertise-peer-urls=${peerUrl}`],
    );
    const etcd = await Member.start({ kind: 'etcd', name: 'restored', dataDir: restored, ...ports });
    try {
      const etcdctl = new Etcdctl(etcd.endpoint);
      expect(await describeStore(etcdctl)).toEqual(before);
      expect(await hashOf(etcdctl, hashAt.hash_revision)).toEqual(hashAt);
      // It is a database like any other: written to, compacted and defragmented.
      await fill(etcdctl, new SeededRandom(8));
      await etcdctl.ok(['defrag']);
      await etcd.restart();
      await etcdctl.ok(['get', '', '--prefix', '--limit=1']);
      await etcd.stop();
      expect(await etcdutl('snapshot', 'status', join(restored, 'member/snap/db'))).toContain(', ');
    } finally {
      await etcd.destroy();
    }
  });

  it('and log of a killed etcd are imported by Keystead', async () => {
    const etcd = await Member.start({ kind: 'etcd', name: 'taken', flags: ['--snapshot-count=20'] });
    const dataDir = join(tempDir('taken-over'), 'data');
    try {
      const etcdctl = new Etcdctl(etcd.endpoint);
      await fill(etcdctl, new SeededRandom(10));
      await expect(importDataDirectory({ from: etcd.dataDir, to: dataDir })).rejects.toThrow(
        'stop etcd first',
      );
      for (let n = 0; n < 5; n += 1) await etcdctl.ok(['put', 'last', `${n}`]);
      const before = await etcdctl.ok(['get', '', '--prefix', '--hex']);
      const hash = await hashOf(etcdctl, 0);
      const leases = await etcdctl.ok(['lease', 'list']);
      await etcd.kill();

      const state = await importDataDirectory({ from: etcd.dataDir, to: dataDir });
      expect(state.revision).toBeLessThanOrEqual(hash.hash_revision);
      expect((await verifyDataDirectory(dataDir)).findings).toEqual([]);
      await expect(importDataDirectory({ from: etcd.dataDir, to: dataDir })).rejects.toThrow('already');
      const { clientPort, peerPort } = etcd;
      const keystead = await Member.start({ kind: 'keystead', name: 'taken', dataDir, clientPort, peerPort });
      try {
        const successor = new Etcdctl(keystead.endpoint);
        expect(await successor.ok(['get', '', '--prefix', '--hex'])).toBe(before);
        expect(await successor.ok(['lease', 'list'])).toBe(leases);
        await successor.ok(['put', 'goes', 'on']);
        expect(await stoppedHash(keystead, hash.hash_revision)).toEqual(hash);
      } finally {
        await keystead.destroy();
      }
    } finally {
      await etcd.destroy();
    }
  });

  it.each(['', '1000'])(
    'saved from a real etcd are restored for a Keystead, revision raised by %j',
    async (bump) => {
      const folder = tempDir('restored');
      const file = join(folder, 'saved.db');
      const origin = await Member.start({ kind: 'etcd', name: 'origin' });
      let before: string;
      try {
        const etcdctl = new Etcdctl(origin.endpoint);
        await fill(etcdctl, new SeededRandom(11));
        before = await etcdctl.ok(['get', '', '--prefix', '--hex']);
        await etcdctl.ok(['snapshot', 'save', file]);
      } finally {
        await origin.destroy();
      }
      const flags = bump === '' ? [] : [`--bump-revision=${bump}`, '--mark-compacted'];
      const ports = { clientPort: await freePort(), peerPort: await freePort() };
      const peerUrl = `http://127.0.0.1:${ports.peerPort}`;
      const cluster = [
        `--initial-cluster=r=${peerUrl}`,
        `--initial-advertise-peer-urls=${peerUrl}`,
        '--name=r',
      ];
      const forEtcd = join(folder, 'etcd');
      await etcdutl('snapshot', 'restore', file, ...cluster, ...flags, `--data-dir=${forEtcd}`);
      const etcd = await Member.start({ kind: 'etcd', name: 'r', dataDir: forEtcd, ...ports });
      const expected = await hashOf(new Etcdctl(etcd.endpoint), 0).finally(() => etcd.destroy());

      const lines: string[] = [];
      const dataDir = join(folder, 'keystead');
      const restore = ['restore', file, ...cluster, ...flags, `--data-dir=${dataDir}`];
      const note = (text: string): number => lines.push(text);
      expect([await runSnapshot(restore, note, note), lines]).toEqual([
        0,
        [expect.stringContaining('restored ')],
      ]);
      expect(await runSnapshot(restore, note, note)).toBe(1);
      expect(lines.pop()).toContain('not empty');
      expect((await verifyDataDirectory(dataDir)).findings).toEqual([]);
      const keystead = await Member.start({ kind: 'keystead', name: 'r', dataDir, ...ports });
      try {
        const successor = new Etcdctl(keystead.endpoint);
        expect(await successor.ok(['get', '', '--prefix', '--hex'])).toBe(before);
        await successor.ok(['put', 'goes', 'on']);
        expect(await stoppedHash(keystead, expected.hash_revision)).toEqual(expected);
      } finally {
        await keystead.destroy();
      }
    },
  );

  it('whose revision was raised on restoring are imported as they are', async () => {
    const folder = tempDir('snapshot-bumped');
    const origin = await Member.start({ kind: 'etcd', name: 'origin' });
    try {
      const etcdctl = new Etcdctl(origin.endpoint);
      await fill(etcdctl, new SeededRandom(9));
      await etcdctl.ok(['snapshot', 'save', join(folder, 'saved.db')]);
    } finally {
      await origin.destroy();
    }
    const restored = join(folder, 'restored');
    await etcdutl(
      ...['snapshot', 'restore', join(folder, 'saved.db'), `--data-dir=${restored}`],
      ...['--bump-revision=100000', '--mark-compacted'],
    );
    const file = join(restored, 'member/snap/db');
    const [hash, revision, compactRevision] = (await etcdutl('hashkv', file)).split(',').map(Number);
    const state = await importSnapshot({ file, directory: join(folder, 'store') });
    expect(state).toMatchObject({ revision, compactRevision });
    const engine = await RocksEngine.open(join(folder, 'store'));
    expect(verifyStore(engine).findings).toEqual([]);
    expect(storeHash(engine, 0).hash).toBe(hash);
    await engine.close();
  });
});

async function save(engine: RocksEngine, path: string): Promise<void> {
  const snapshot = await exportSnapshot(engine);
  const file = createWriteStream(path);
  for await (const chunk of snapshot.chunks()) if (!file.write(chunk)) await once(file, 'drain');
  file.end(snapshot.sha256);
  await once(file, 'close');
}

/** Writes and deletes small and large keys, with and without leases, users and roles, with a compaction in between. */
async function fill(etcdctl: Etcdctl, random: SeededRandom): Promise<void> {
  const leases: string[] = [];
  for (let n = 0; n < 4; n += 1) {
    const granted = await etcdctl.ok(['lease', 'grant', String(3000 + n)]);
    leases.push(/lease ([0-9a-f]+) granted/.exec(granted)?.[1] ?? '');
  }
  for (let round = 0; round < 30; round += 1) {
    const keys = random.shuffle(Array.from({ length: 80 }, (_, n) => `key/${n}`)).slice(0, 40);
    const requests = keys.map((key) => {
      if (random.chance(0.2)) return `del ${key}`;
      const value = 'v'.repeat(random.chance(0.05) ? 9000 : random.int(200));
      return `put ${key} "${round} ${value}"${random.chance(0.2) ? ` --lease=${random.pick(leases)}` : ''}`;
    });
    await etcdctl.ok(['txn'], { input: `\n${requests.join('\n')}\n\n\n` });
    if (round === 20) {
      const { hash_revision: revision } = await hashOf(etcdctl, 0);
      await etcdctl.ok(['compaction', String(revision - 3), '--physical']);
    }
  }
  await etcdctl.ok(['lease', 'revoke', leases[0] ?? '']);
  await etcdctl.ok(['put', 'large'], { input: 'x'.repeat(1_000_000) });
  const name = `u${random.int(1000)}`;
  await etcdctl.ok(['role', 'add', name]);
  await etcdctl.ok(['role', 'grant-permission', name, 'readwrite', 'key/', '--prefix']);
  await etcdctl.ok(['user', 'add', `${name}:secret`]);
  await etcdctl.ok(['user', 'grant-role', name, name]);
}

interface Store {
  readonly hash: Hash;
  readonly rest: readonly string[];
}

/** Everything in a store that must be preserved. */
async function describeStore(etcdctl: Etcdctl): Promise<Store> {
  const users = await etcdctl.ok(['user', 'list']);
  const rest = [
    users,
    await etcdctl.ok(['get', '', '--prefix', '--hex', '--write-out=fields']),
    await etcdctl.ok(['lease', 'list']),
    await etcdctl.ok(['role', 'list']),
    await etcdctl.ok(['auth', 'status']),
  ].map((text) => text.replace(/^"(ClusterID|MemberID|RaftTerm)" : .*$/gm, ''));
  for (const user of users.trim().split('\n')) rest.push(await etcdctl.ok(['user', 'get', user, '--detail']));
  return { hash: await hashOf(etcdctl, 0), rest };
}

async function hashOf(etcdctl: Etcdctl, revision: number): Promise<Hash> {
  const answer = JSON.parse(
    await etcdctl.ok(['endpoint', 'hashkv', `--rev=${revision}`, '--write-out=json']),
  ) as { HashKV: Hash }[];
  const { hash, hash_revision, compact_revision } = answer[0]!.HashKV;
  return { hash, hash_revision, compact_revision };
}

async function stoppedHash(keystead: Member, revision: number): Promise<Hash> {
  await keystead.kill();
  const engine = await RocksEngine.open(join(keystead.dataDir, 'member/rocksdb'));
  const hash = storeHash(engine, revision);
  await engine.close();
  return hash;
}

function storeHash(engine: RocksEngine, revision: number): Hash {
  const job = new HashJob(hashScope(new MvccStore(engine), revision));
  while (!job.step(1000));
  const { hash, revision: hash_revision, compactRevision: compact_revision } = job.result();
  return { hash, hash_revision, compact_revision };
}

async function etcdutl(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(requirePeer('etcdutl'), args);
  if (code !== 0) throw new Error(`etcdutl ${args.join(' ')}: ${stderr}`);
  return stdout;
}
