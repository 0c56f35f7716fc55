import { expect, it } from 'vitest';
import { encodeIdentity, bootstrapNewCluster } from '../../src/server/identity.ts';
import { openStorage } from '../../src/storage/open-storage.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member } from '../harness/member.ts';
import { freePort } from '../harness/ports.ts';
import { tempDir } from '../harness/temp-dir.ts';

/** A data directory as a kill right after the log was made leaves it: the log names the member and holds no entry. */
async function cutShort(dataDir: string, initial: ReadonlyMap<string, readonly string[]>): Promise<void> {
  const storage = await openStorage({
    dataDirectory: dataDir,
    newMetadata: () => encodeIdentity(bootstrapNewCluster('m0', initial, 'etcd-cluster')),
    onFailure: (error) => {
      throw error;
    },
  });
  await storage.close();
}

/*
 * Found by reading: only a missing log counted as a new member, so a first start that was killed before its first
 * write left a member without a configuration, which never elected anybody.
 */
it('a first start that was killed before its first write is begun again', async () => {
  const peerPort = await freePort();
  const dataDir = tempDir('keystead');
  await cutShort(dataDir, new Map([['m0', [`http://127.0.0.1:${peerPort}`]]]));
  const member = await Member.start({ kind: 'keystead', name: 'm0', peerPort, dataDir });
  try {
    const etcdctl = new Etcdctl(member.clientUrl);
    expect((await etcdctl.run(['put', 'a', '1'])).stdout).toContain('OK');
    await member.kill();
    await member.restart();
    expect((await etcdctl.run(['get', 'a'])).stdout).toContain('1');
  } finally {
    await member.destroy();
  }
});
