import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Etcdctl } from './harness/etcdctl.ts';
import { Member, serverUnderTest } from './harness/member.ts';
import { eventually } from './harness/wait.ts';
import { canMount, mount, type Mount } from './storage/mounts.ts';

const tmpfs = ['-t', 'tmpfs', '-o', 'size=200m', 'tmpfs'];
const MEBIBYTE = 1 << 20;

/** Fills the disk, as another process could do. */
function fill(path: string): void {
  for (let size = 64 * MEBIBYTE; size >= 4096; size = Math.floor(size / 2)) {
    for (let part = 0; ; part++) {
      try {
        writeFileSync(`${path}.${size}.${part}`, Buffer.alloc(size));
      } catch {
        break;
      }
    }
  }
}

describe.skipIf(serverUnderTest === 'etcd' || !canMount(...tmpfs))(
  'a server on a full disk (needs root)',
  () => {
    let disk: Mount;
    let member: Member;
    let etcdctl: Etcdctl;
    beforeAll(async () => {
      disk = mount(...tmpfs);
      member = await Member.start({ kind: serverUnderTest, dataDir: join(disk.path, 'data') });
      etcdctl = new Etcdctl(member.endpoint);
    });
    afterAll(async () => {
      await member.kill();
      disk.unmount();
    });

    const put = (key: string, value: string): Promise<string> =>
      etcdctl.run(['put', key, value]).then(({ stdout, stderr }) => stdout + stderr);

    it('refuses writes, serves reads, and accepts writes again when there is space, without a restart', async () => {
      const { pid } = member;
      expect(await put('before', '1')).toContain('OK');
      let writing = true;
      const load = (async (): Promise<void> => {
        for (let n = 0; writing; n++)
          await put(`load/${n % 100}`, 'x'.repeat(100_000)).catch(() => undefined);
      })();
      const filler = join(disk.path, 'filler');
      fill(filler);
      await eventually('a write refused for want of space', async () =>
        (await put('during', '1')).includes('database space exceeded'),
      );
      expect((await etcdctl.run(['get', 'before', '--print-value-only'])).stdout.trim()).toBe('1');
      writing = false;
      await load;
      for (const name of readdirSync(disk.path)) if (name.startsWith('filler')) rmSync(join(disk.path, name));
      await etcdctl.run(['alarm', 'disarm']);
      await eventually('a write taken again', async () => (await put('after', '1')).includes('OK'));
      expect((await etcdctl.run(['get', 'before', '--print-value-only'])).stdout.trim()).toBe('1');
      expect(member.pid).toBe(pid);
    });
  },
);
