import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { tempDir } from '../harness/temp-dir.ts';
import { BackupCommand, etcdutl, listBackups } from './backup-command.ts';
import { hashOf, restoreFlags } from './restored-member.ts';

const missing = missingPeers('etcd', 'etcdctl', 'etcdutl');

async function fill(member: Member, value: string): Promise<void> {
  const puts = Array.from({ length: 50 }, (_, n) => `put k/${n} "${value}"`).join('\n');
  await new Etcdctl(member.endpoint).ok(['txn'], { input: `\n${puts}\n\n\n` });
}

describe.skipIf(missing !== undefined)(`backups in a folder ${missing ?? ''}`, () => {
  it.each(['keystead', 'etcd'] as const)('of %s are restored for Keystead and for etcd', async (kind) => {
    const member = await Member.start({ kind });
    const folder = tempDir('backups');
    const place = new BackupCommand([`--url=file://${folder}`]);
    try {
      await fill(member, 'one');
      await new Etcdctl(member.endpoint).ok(['compaction', '2']);
      await fill(member, 'two');
      const hash = await hashOf(member);
      const said = await place.ok('run', `--endpoints=${member.endpoint}`);
      expect(said).toContain(`of revision ${hash.hash_revision}, `);
      await fill(member, 'three');

      const [backup] = await listBackups(place);
      expect(backup).toMatchObject({ hashKv: hash.hash, revision: hash.hash_revision, state: 'verified' });
      const object = join(folder, backup?.object ?? '');
      const status = JSON.parse(await etcdutl('snapshot', 'status', object, '-w=json')) as unknown;
      expect(status).toMatchObject({ revision: hash.hash_revision });
      expect(await place.ok('verify')).toContain('good: restored');

      const { flags, ports } = await restoreFlags();
      const forEtcd = join(folder, 'etcd');
      await etcdutl('snapshot', 'restore', object, `--data-dir=${forEtcd}`, ...flags);
      const etcd = await Member.start({ kind: 'etcd', name: 'restored', dataDir: forEtcd, ...ports });
      try {
        expect(await hashOf(etcd)).toEqual(hash);
      } finally {
        await etcd.destroy();
      }

      const same = join(folder, 'same');
      await place.ok('restore', `--data-dir=${same}`, ...flags, '--bump-revision=0');
      const restored = await Member.start({ kind: 'keystead', name: 'restored', dataDir: same, ...ports });
      try {
        expect(await hashOf(restored)).toEqual(hash);
      } finally {
        await restored.destroy();
      }
      await expectRaised(place, join(folder, 'raised'), hash.hash_revision);
    } finally {
      await member.destroy();
      rmSync(folder, { recursive: true });
    }
  });

  it('that are damaged, missing or of another key are named, and never restored', async () => {
    const member = await Member.start({ kind: 'keystead' });
    const folder = tempDir('backups');
    const keys = ['right', 'wrong'].map((name) => join(tempDir('keys'), name));
    for (const path of keys) writeFileSync(path, randomBytes(32));
    const [right = '', wrong = ''] = keys;
    const place = new BackupCommand([`--url=${folder}`], { KEYSTEAD_BACKUP_KEY_FILE: right });
    try {
      for (const value of ['one', 'two', 'three']) {
        await fill(member, value);
        await place.ok('run', `--endpoints=${member.endpoint}`);
      }
      const [damaged, gone, good] = await listBackups(place);
      const path = join(folder, damaged?.object ?? '');
      const bytes = readFileSync(path);
      bytes[9000] = (bytes[9000] ?? 0) ^ 1;
      writeFileSync(path, bytes);
      rmSync(join(folder, gone?.object ?? ''));
      const { code, stdout } = await place.run('verify');
      expect(code).toBe(1);
      const lines = stdout.trim().split('\n');
      expect(lines[0]).toBe(
        `${damaged?.id ?? ''}: FAULT: its object ${damaged?.object ?? ''} cannot be read: chunk 0 is damaged, in the wrong place, or encrypted with another key`,
      );
      expect(lines[1]).toBe(`${gone?.id ?? ''}: FAULT: its object ${gone?.object ?? ''} is missing`);
      expect(lines[2]).toContain(`${good?.id ?? ''}: good: restored 50 keys`);
      expect((await listBackups(place)).map(({ state }) => state)).toEqual([
        'damaged',
        'damaged',
        'verified',
      ]);

      const withWrong = await place.run('verify', '--newest', `--key-file=${wrong}`);
      expect(withWrong).toMatchObject({
        code: 1,
        stdout: expect.stringContaining('but the key file has the key') as string,
      });
      const target = join(folder, 'restored');
      for (const [id, reason] of [
        [damaged?.id, 'chunk 0 is damaged'],
        [gone?.id, 'is missing'],
      ] as const) {
        const refused = await place.run('restore', id ?? '', `--data-dir=${target}`);
        expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining(reason) as string });
      }
      // Retention keeps the last good one, and the two behind it go.
      expect(await place.ok('prune', '--keep-last=0')).toBe(
        `removed ${damaged?.id ?? ''}\nremoved ${gone?.id ?? ''}\n`,
      );
      expect((await listBackups(place)).map(({ id }) => id)).toEqual([good?.id]);
      expect(await place.ok('restore', `--data-dir=${target}`)).toContain('restored backup');
    } finally {
      await member.destroy();
      rmSync(folder, { recursive: true });
    }
  });

  it('are refused with wrong arguments', async () => {
    const none = new BackupCommand([]);
    for (const [args, text] of [
      [[], 'give a command'],
      [['wrong'], 'unknown command wrong'],
      [['list'], '--url is missing'],
      [['list', '--url=ftp://x'], 'backups cannot be stored at ftp://'],
      [['list', '--url=file://host'], 'is no URL of a folder'],
      [['prune', '--url=x'], 'give --keep-last or --keep-days'],
      [['prune', '--url=x', '--keep-last=-1'], '--keep-last must be a number'],
      [['restore', '--url=x'], '--data-dir is missing'],
      [['run', '--url=x', '--key-file=/none'], 'ENOENT'],
    ] as const)
      expect(await none.run(...args)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(text) as string,
      });
    const empty = new BackupCommand([`--url=${tempDir('backups')}`]);
    expect(await empty.ok('list')).toBe('no backups\n');
    expect(await empty.run('verify')).toMatchObject({ code: 1, stdout: 'no backups\n' });
    expect(await empty.run('restore', '--data-dir=/nowhere')).toMatchObject({ code: 1 });
    expect(await empty.run('run', '--endpoints=127.0.0.1:1', '--command-timeout=1')).toMatchObject({
      code: 1,
    });
  });
});

/** By default a restore raises the revision and marks it as compacted, so a watch from before is told. */
async function expectRaised(place: BackupCommand, dataDir: string, revision: number): Promise<void> {
  const { flags, ports } = await restoreFlags();
  const { revision: raised } = await place.json<{ revision: number }>(
    'restore',
    `--data-dir=${dataDir}`,
    ...flags,
  );
  expect(raised).toBe(revision + 1_000_000_000);
  const member = await Member.start({ kind: 'keystead', name: 'restored', dataDir, ...ports });
  try {
    const etcdctl = new Etcdctl(member.endpoint);
    expect(await hashOf(member)).toMatchObject({ hash_revision: raised, compact_revision: raised });
    expect(await etcdctl.ok(['get', 'k/7', '--print-value-only'])).toBe('two\n');
    const watch = await etcdctl.run(['watch', 'k/7', `--rev=${revision}`]);
    expect(watch.stdout + watch.stderr).toContain('required revision has been compacted');
  } finally {
    await member.destroy();
  }
}
