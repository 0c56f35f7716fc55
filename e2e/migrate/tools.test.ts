import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { TestCluster } from '../clusters/test-cluster.ts';
import { runCommand, type CommandResult } from '../harness/command.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member, type MemberKind } from '../harness/member.ts';
import { keysteadBundle, missingPeers, requirePeer } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import { tempDir } from '../harness/temp-dir.ts';

const missing = missingPeers('etcd', 'etcdctl', 'etcdutl');

function keystead(...args: readonly string[]): Promise<CommandResult> {
  return runCommand(process.execPath, [keysteadBundle(), ...args]);
}

/** Serves one file, and 404 for all other paths. */
async function serveFile(path: string): Promise<{ url: string; close: () => void }> {
  const server = createServer((request, response) => {
    if (request.url === '/snapshot.db') response.end(readFileSync(path));
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/snapshot.db`, close: () => server.close() };
}

describe.skipIf(missing !== undefined)(`the tools of the chart's jobs ${missing ?? ''}`, () => {
  it.each<MemberKind>(['etcd', 'keystead'])(
    'save snapshots of %s in a folder and keep the newest',
    async (kind) => {
      const member = await Member.start({ kind });
      const folder = tempDir('backup');
      try {
        await new Etcdctl(member.endpoint).ok(['put', 'key', 'value']);
        for (const name of ['keystead-20200101T000000Z.db', 'keystead-20200102T000000Z.db', 'other.db'])
          writeFileSync(join(folder, name), '');
        const nowhere = `127.0.0.1:${await freePort()}`;
        const saved = await keystead(
          ...['snapshot', 'save', `${folder}/`, '--keep=2', `--endpoints=${nowhere},${member.endpoint}`],
        );
        expect(saved.stderr).toBe('');
        expect(saved.code).toBe(0);
        const path = saved.stdout.trim().replace('Snapshot saved at ', '');
        expect(readdirSync(folder).toSorted()).toEqual(
          ['keystead-20200102T000000Z.db', path.slice(folder.length + 1), 'other.db'].toSorted(),
        );
        expect(statSync(path).mode & 0o777).toBe(0o600);
        const status = await runCommand(requirePeer('etcdutl'), ['snapshot', 'status', path, '-w', 'json']);
        expect(JSON.parse(status.stdout)).toMatchObject({ totalKey: 1, revision: 2 });
      } finally {
        await member.destroy();
      }
    },
  );

  it('leave no file if no endpoint answers', async () => {
    const path = join(tempDir('backup'), 'x.db');
    const saved = await keystead('snapshot', 'save', path, `--endpoints=127.0.0.1:${await freePort()}`);
    expect(saved.code).toBe(1);
    expect(saved.stderr).toContain('keystead snapshot save: 127.0.0.1:');
    expect(existsSync(path) || existsSync(`${path}.part`)).toBe(false);
  });

  it('restore from a URL once, and not for members that join later', async () => {
    const origin = await Member.start({ kind: 'keystead' });
    const folder = tempDir('restore');
    const file = join(folder, 'saved.db');
    const directory = join(folder, 'data');
    await new Etcdctl(origin.endpoint).ok(['put', 'key', 'value']);
    expect((await keystead('snapshot', 'save', file, `--endpoints=${origin.endpoint}`)).code).toBe(0);
    await origin.destroy();
    const web = await serveFile(file);
    const peerPort = await freePort();
    const restore = (name: string, url = web.url): Promise<CommandResult> =>
      keystead(
        ...['snapshot', 'restore', url, '--init', `--name=${name}`, `--data-dir=${directory}`],
        `--initial-cluster=m0=http://127.0.0.1:${peerPort}`,
        `--initial-advertise-peer-urls=http://127.0.0.1:${peerPort}`,
      );
    try {
      expect((await restore('m1')).stdout).toContain('nothing to restore: m1 is no member');
      const absent = await restore('m0', web.url.replace('snapshot', 'other'));
      expect(absent.code).toBe(1);
      expect(absent.stderr).toContain('status 404');
      expect((await restore('m0')).stdout).toContain('restored 1 keys');
      expect(existsSync(`${directory}.download`)).toBe(false);
      expect((await restore('m0')).stdout).toContain('has data');
      // As after a kill during a restore: it is repeated.
      writeFileSync(join(directory, 'member/unfinished'), 'snapshot restore\n');
      expect((await restore('m0')).stdout).toContain('restored 1 keys');
      const member = await Member.start({ kind: 'keystead', dataDir: directory, peerPort });
      expect(await new Etcdctl(member.endpoint).ok(['get', 'key', '--print-value-only'])).toBe('value\n');
      await member.destroy();
    } finally {
      web.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('remove the members of a StatefulSet that scales down, and never all', async () => {
    const cluster = await TestCluster.create(['keystead', 'keystead', 'keystead']);
    try {
      const [first] = cluster.members;
      const remove = (from: number): Promise<CommandResult> =>
        keystead(
          ...['member', 'remove', '--name-prefix=keystead', `--from-ordinal=${from}`],
          `--endpoints=${first?.endpoint ?? ''}`,
        );
      const ids = await Promise.all(cluster.members.map((member) => cluster.idOf(member)));
      expect((await remove(3)).stdout).toBe('no member to remove\n');
      const removed = await remove(1);
      expect(removed.stderr).toBe('');
      expect(removed.stdout).toBe(
        `removed member keystead2 (${ids[2] ?? ''})\nremoved member keystead1 (${ids[1] ?? ''})\n`,
      );
      const list = await new Etcdctl(first?.endpoint ?? '').ok(['member', 'list']);
      expect(list.trim().split('\n')).toHaveLength(1);
      await new Etcdctl(first?.endpoint ?? '').ok(['put', 'key', 'value']);
      const all = await remove(0);
      expect(all.code).toBe(2);
      expect(all.stderr).toContain('one member has to stay');
    } finally {
      await cluster.destroy();
    }
  });
});
