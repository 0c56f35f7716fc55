import { join } from 'node:path';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member } from '../harness/member.ts';
import { freePort } from '../harness/ports.ts';
import { removeTempDir, tempDir } from '../harness/temp-dir.ts';
import type { BackupCommand } from './backup-command.ts';

export interface Hash {
  readonly hash: number;
  readonly hash_revision: number;
  readonly compact_revision: number;
}

/** HashKV of one member. */
export async function hashOf(member: Member, revision = 0): Promise<Hash> {
  const json = await new Etcdctl(member.endpoint).ok(['endpoint', 'hashkv', `--rev=${revision}`, '-w=json']);
  const { hash, hash_revision, compact_revision } = (JSON.parse(json) as { HashKV: Hash }[])[0]?.HashKV ?? {
    hash: 0,
    hash_revision: 0,
    compact_revision: 0,
  };
  return { hash, hash_revision, compact_revision };
}

/** The flags of a restore of one member, and its ports. */
export async function restoreFlags(): Promise<{
  flags: string[];
  ports: { clientPort: number; peerPort: number };
}> {
  const ports = { clientPort: await freePort(), peerPort: await freePort() };
  const url = `http://127.0.0.1:${ports.peerPort}`;
  return {
    ports,
    flags: ['--name=restored', `--initial-cluster=restored=${url}`, `--initial-advertise-peer-urls=${url}`],
  };
}

/** Restores with the given flags, starts the restored member for `use`, and removes it. */
export async function withRestored<T>(
  place: BackupCommand,
  flags: readonly string[],
  use: (member: Member, said: string) => Promise<T>,
): Promise<T> {
  const folder = tempDir('restored');
  const { flags: placement, ports } = await restoreFlags();
  const dataDir = join(folder, 'data');
  try {
    const said = await place.ok('restore', `--data-dir=${dataDir}`, ...placement, ...flags);
    const member = await Member.start({ kind: 'keystead', name: 'restored', dataDir, ...ports });
    try {
      return await use(member, said);
    } finally {
      await member.destroy();
    }
  } finally {
    removeTempDir(folder);
  }
}
