import { afterEach, describe, expect, it } from 'vitest';
import { PutRequest, RangeRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { TestCluster } from '../clusters/test-cluster.ts';
import { Member, serverUnderTest } from '../harness/member.ts';
import { metricsOf } from '../harness/metrics.ts';
import { withClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';
import { PlantedFault } from './planted-fault.ts';

const FLAG = '--keystead-raft-thread';
const put = PutRequest.create({ key: Buffer.from('key'), value: Buffer.from('value') });
const range = RangeRequest.create({ key: Buffer.from('key') });

/** Further tests are all other suites with KEYSTEAD_E2E_RAFT_THREAD; see docs/testing.md. */
describe.skipIf(serverUnderTest === 'etcd')('a member whose raft has a thread of its own', () => {
  const cleanups: (() => Promise<void> | void)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  async function start(env: NodeJS.ProcessEnv = {}): Promise<Member> {
    const member = await Member.start({ kind: 'keystead', flags: [FLAG], env });
    cleanups.push(() => member.destroy());
    return member;
  }

  const putOne = (member: Member): Promise<unknown> =>
    withClient(member.endpoint, async (client) => {
      expect(await client.unary(KV.methods.put, put)).toHaveProperty('messages');
    });
  const isFound = (member: Member): Promise<boolean> =>
    withClient(member.endpoint, async (client) => {
      const answer = await client.unary(KV.methods.range, range);
      return 'messages' in answer && (answer.messages[0] as { count: number }).count === 1;
    });

  it('keeps what it acknowledged when it is stopped and started', async () => {
    const member = await start();
    await putOne(member);
    expect(await metricsOf(member)).toMatch(/etcd_disk_wal_fsync_duration_seconds_count [1-9]/);
    await member.stop();
    await member.start();
    expect(await isFound(member)).toBe(true);
  });

  it('ends with a message when the thread fails, and loses nothing', async () => {
    const fault = new PlantedFault('raft');
    cleanups.push(() => fault.remove());
    const member = await start(fault.env);
    await putOne(member);
    await fault.restartAfter(member, 'the thread of raft has ended');
    expect(await isFound(member)).toBe(true);
  });

  it('forms a cluster with members of both kinds, also after the leader was killed', async () => {
    const cluster = await TestCluster.create(['keystead', 'keystead', 'keystead'], [], () => ({}), [
      { flags: [FLAG] },
      { flags: [FLAG] },
      {},
    ]);
    cleanups.push(async () => {
      await Promise.all(cluster.members.map((member) => member.destroy()));
    });
    for (const killed of cluster.members) {
      const others = cluster.members.filter((member) => member !== killed);
      await Promise.all(cluster.members.map(putOne));
      await killed.kill();
      for (const member of others)
        await eventually('a put after the kill', () =>
          withClient(
            member.endpoint,
            async (client) => 'messages' in (await client.unary(KV.methods.put, put)),
          ),
        );
      await killed.start();
      expect(await isFound(killed)).toBe(true);
    }
  });
});
