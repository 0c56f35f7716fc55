import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { database, etcdDirectory, fresh, root, run } from './testing/etcd-directory.ts';

describe('keystead import', () => {
  it('imports a data directory into a new one or in place', async () => {
    const from = await etcdDirectory(database(4), 7);
    const to = fresh();
    expect(await run('import', '--from', from, '--data-dir', to)).toEqual({
      code: 0,
      out: 'imported 2 keys and 2 changes up to revision 3, applied index 4 in term 2\n',
      err: '',
    });
    expect((await run('import', `--from=${from}`, `--data-dir=${to}`)).err).toContain('already exists');
    expect((await run('import', '--from', from, '--data-dir', from)).code).toBe(0);
    expect(existsSync(join(from, 'member/rocksdb/CURRENT'))).toBe(true);
  });

  it('prefers a newer database that was received but not installed', async () => {
    const from = await etcdDirectory(database(4), 7);
    writeFileSync(join(from, 'member/snap/0000000000000006.snap.db'), database(6));
    writeFileSync(join(from, 'member/snap/0000000000000002.snap.db'), database(2));
    expect((await run('import', '--from', from, '--data-dir', fresh())).out).toContain('applied index 6');
  });

  it('reports what is missing', async () => {
    expect(await run('import')).toMatchObject({ code: 2, err: expect.stringContaining('Usage') as string });
    expect((await run('import', '--wrong')).code).toBe(2);
    const nothing = await run('import', '--from', fresh(), '--data-dir', fresh());
    expect(nothing).toMatchObject({
      code: 1,
      err: expect.stringContaining('is not a data directory of etcd') as string,
    });
    const old = await etcdDirectory(database(4, false), 7);
    const target = fresh();
    expect((await run('import', '--from', old, '--data-dir', target)).err).toContain(
      'by etcd 3.4 or earlier',
    );
    expect(existsSync(join(target, 'member/rocksdb'))).toBe(false);
  });
});

describe('keystead snapshot', () => {
  it('restores if the flags are consistent', async () => {
    const file = join(root, 'saved.db');
    writeFileSync(file, database(4));
    const restore = (...flags: string[]): ReturnType<typeof run> =>
      run('snapshot', 'restore', file, ...flags);
    const to = fresh();
    expect((await restore('--data-dir', to)).err).toContain('snapshot missing hash');
    expect((await restore('--data-dir', to, '--name=x', '--initial-cluster=y=http://h:1')).err).toContain(
      `couldn't find local name "x"`,
    );
    expect((await restore('--data-dir', to, '--initial-cluster=default=http://h:1')).err).toContain(
      '--initial-advertise-peer-urls http://localhost:2380',
    );
    expect((await restore('--data-dir', to, '--bump-revision=5')).code).toBe(2);
    const unreachable = await run('snapshot', 'save', fresh(), '--endpoints=127.0.0.1:1');
    expect(unreachable).toMatchObject({ code: 1, err: expect.stringContaining('UNAVAILABLE') as string });
    const done = await restore('--data-dir', to, '--skip-hash-check');
    expect(done).toMatchObject({ code: 0, out: expect.stringContaining('restored 2 keys') as string });
    expect((await run('verify', '--data-dir', to)).out).toContain('applied index 1 in term 1');
  });
});
