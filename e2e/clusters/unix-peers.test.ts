import { expect, it } from 'vitest';
import { Member, type MemberKind } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import { removeTempDir, tempDir } from '../harness/temp-dir.ts';
import { isOneCluster } from './one-cluster.ts';

const missing = missingPeers('etcd', 'etcdctl');
const kinds: readonly MemberKind[] = ['keystead', 'etcd', 'keystead'];

it.skipIf(missing !== undefined)(
  `members of both kinds talk over unix sockets, after a kill too ${missing ?? ''}`,
  async () => {
    // etcd's socket is a file with the name host:port in the working directory.
    const cwd = tempDir('sockets');
    const urls: string[] = [];
    while (urls.length < kinds.length) urls.push(`unix://localhost:${await freePort()}`);
    const initial = urls.map((url, at) => `m${at}=${url}`).join(',');
    const members = await Promise.all(
      kinds.map((kind, at) =>
        Member.start({
          kind,
          cwd,
          name: `m${at}`,
          readyTimeoutMs: 60_000,
          flags: [
            ...[`--listen-peer-urls=${urls[at]}`, `--initial-advertise-peer-urls=${urls[at]}`],
            `--initial-cluster=${initial}`,
          ],
        }),
      ),
    );
    try {
      await isOneCluster(members);
      for (const member of members.slice(0, 2)) {
        await member.restart('SIGKILL');
        await isOneCluster(members);
      }
      expect(members.every(({ program }) => program.alive)).toBe(true);
    } finally {
      await Promise.all(members.map((member) => member.destroy()));
      removeTempDir(cwd);
    }
  },
);
