import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCommand } from './harness/command.ts';
import { Etcdctl } from './harness/etcdctl.ts';
import { Member, serverUnderTest } from './harness/member.ts';
import { missingPeers, requirePeer } from './harness/paths.ts';
import { freePort } from './harness/ports.ts';
import { tempDir } from './harness/temp-dir.ts';

const missing = missingPeers('etcd', 'etcdctl', 'etcdutl');

describe.skipIf(missing !== undefined)(`a snapshot ${missing ?? ''}`, () => {
  it('is accepted by etcdutl, and a real etcd continues from it', async () => {
    const origin = await Member.start({ kind: serverUnderTest, name: 'origin' });
    const folder = tempDir('snapshot');
    const restored = join(folder, 'restored');
    try {
      await fill(new Etcdctl(origin.endpoint));
      const before = await describeStore(new Etcdctl(origin.endpoint));

      const file = join(folder, 'saved.db');
      await new Etcdctl(origin.endpoint).ok(['snapshot', 'save', file]);
      expect(await etcdutl('snapshot', 'status', file, '--write-out=json')).toContain('"revision":');
      const ports = { clientPort: await freePort(), peerPort: await freePort() };
      const peerUrl = `http://127.0.0.1:${ports.peerPort}`;
      await etcdutl(
        ...['snapshot', 'restore', file, '--name=restored', `--data-dir=${restored}`],
        ...[`--initial-cluster=restored=${peerUrl}`, `--initial-advertise-peer-urls=${peerUrl}`],
      );

      const etcd = await Member.start({ kind: 'etcd', name: 'restored', dataDir: restored, ...ports });
      try {
        expect(await describeStore(new Etcdctl(etcd.endpoint))).toEqual(before);
        await new Etcdctl(etcd.endpoint).ok(['put', 'goes', 'on']);
      } finally {
        await etcd.destroy();
      }
    } finally {
      await origin.destroy();
    }
  });
});

async function fill(etcdctl: Etcdctl): Promise<void> {
  const granted = await etcdctl.ok(['lease', 'grant', '3600']);
  const lease = /lease ([0-9a-f]+) granted/.exec(granted)?.[1] ?? '';
  for (let round = 0; round < 3; round += 1) {
    const puts = Array.from({ length: 100 }, (_, index) => `put k/${index} "value ${round}"`).join('\n');
    await etcdctl.ok(['txn'], { input: `\n${puts}\n\n\n` });
  }
  await etcdctl.ok(['put', 'leased', 'value', `--lease=${lease}`]);
  await etcdctl.ok(['del', 'k/1', '--prefix']);
  await etcdctl.ok(['compaction', '3', '--physical']);
  await etcdctl.ok(['put', 'after', 'the compaction']);
  await etcdctl.ok(['role', 'add', 'reader']);
  await etcdctl.ok(['role', 'grant-permission', 'reader', 'read', 'k/', '--prefix']);
  await etcdctl.ok(['user', 'add', 'ann:secret']);
  await etcdctl.ok(['user', 'grant-role', 'ann', 'reader']);
}

/** Everything in a store that a snapshot must preserve. */
async function describeStore(etcdctl: Etcdctl): Promise<Record<string, unknown>> {
  const hash = JSON.parse(await etcdctl.ok(['endpoint', 'hashkv', '--write-out=json'])) as {
    HashKV: Record<string, unknown>;
  }[];
  const withoutHeader = { ...hash[0]?.HashKV, header: undefined };
  return {
    hash: withoutHeader,
    keys: await etcdctl.ok(['get', '', '--prefix', '--hex']),
    leases: await etcdctl.ok(['lease', 'list']),
    users: await etcdctl.ok(['user', 'get', 'ann', '--detail']),
    roles: await etcdctl.ok(['role', 'list']),
    auth: await etcdctl.ok(['auth', 'status']),
  };
}

async function etcdutl(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(requirePeer('etcdutl'), args);
  if (code !== 0) throw new Error(`etcdutl ${args.join(' ')}: ${stderr}`);
  return stdout;
}
