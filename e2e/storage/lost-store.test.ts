import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { PutRequest, RangeRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { Member, serverUnderTest } from '../harness/member.ts';
import { RpcClient } from '../harness/rpc-client.ts';

/** Removes what a power failure can take from the store of a young member: RocksDB's own log is not synced. */
function loseStore(dataDir: string): void {
  const folder = join(dataDir, 'member', 'rocksdb');
  for (const name of readdirSync(folder)) if (name.endsWith('.log')) rmSync(join(folder, name));
}

describe.skipIf(serverUnderTest === 'etcd')('the only member of a cluster, after a power failure', () => {
  const cleanups: (() => Promise<void> | void)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  it('leads without an election timeout, though only its log knows that it is alone', async () => {
    // A member that waits for the timeout is not ready in time.
    const flags = ['--election-timeout=50000', '--heartbeat-interval=5000'];
    const member = await Member.start({ kind: 'keystead', flags });
    cleanups.push(() => member.destroy());
    const client = new RpcClient(member.endpoint);
    cleanups.push(() => client.close());
    const key = Buffer.from('key');
    await client.unary(KV.methods.put, PutRequest.create({ key, value: Buffer.from('value') }));
    await member.kill();
    loseStore(member.dataDir);
    await member.start();
    const answer = await client.unary(KV.methods.range, RangeRequest.create({ key }));
    expect(answer).toMatchObject({ messages: [{ count: 1 }] });
  });
});
