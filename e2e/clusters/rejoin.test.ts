import { mkdirSync, rmSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { PutRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import type { Member } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';
import { TestCluster } from './test-cluster.ts';

const missing = missingPeers('etcd', 'etcdctl');

let cluster: TestCluster | undefined;
afterEach(async () => {
  await cluster?.destroy();
  cluster = undefined;
});

/** Kills a member and removes all its data. */
async function loseDisk(member: Member): Promise<void> {
  await member.stop('SIGKILL');
  rmSync(member.dataDir, { recursive: true, force: true });
  mkdirSync(member.dataDir, { mode: 0o700 });
}

/** Puts one key after another, until stopped. Returns the number of acknowledged puts. */
function putAll(member: Member): () => Promise<number> {
  const client = new RpcClient(member.endpoint);
  let isStopped = false;
  const run = async (): Promise<number> => {
    let acknowledged = 0;
    while (!isStopped) {
      const put = PutRequest.create({ key: Buffer.from(`key-${acknowledged}`), value: Buffer.alloc(100) });
      const answer = await client.unary(KV.methods.put, put);
      if ('messages' in answer) acknowledged += 1;
    }
    client.close();
    return acknowledged;
  };
  const running = run();
  return () => {
    isStopped = true;
    return running;
  };
}

const voters = async (one: Member): Promise<number> =>
  (await cluster?.ctl(one).ok(['member', 'list']))?.match(/, started, .*, false$/gm)?.length ?? 0;

describe.skipIf(missing !== undefined)(
  `members without data, with --keystead-rejoin ${missing ?? ''}`,
  () => {
    it.each(['a follower', 'the leader'])('come back by themselves: %s', async (which) => {
      cluster = await TestCluster.create(['keystead', 'keystead', 'keystead'], ['--keystead-rejoin']);
      const leader = await cluster.leader();
      const lost = which === 'the leader' ? leader : cluster.members.find((member) => member !== leader);
      const other = cluster.members.find((member) => member !== lost && member !== leader);
      if (lost === undefined || other === undefined) throw new Error('there are three members');
      const oldId = await cluster.idOf(lost);
      const stop = putAll(other);
      await loseDisk(lost);
      await lost.start();
      await eventually('it is a voter again', async () => (await voters(other)) === 3, {
        timeoutMs: 60_000,
      });
      const acknowledged = await stop();
      expect(acknowledged).toBeGreaterThan(0);
      expect(await cluster.idOf(lost)).not.toBe(oldId);
      expect(await cluster.ctl(other).ok(['member', 'list'])).not.toContain(oldId);
      await cluster.settled();
      const count = await cluster.ctl(lost).ok(['get', 'key-', '--prefix', '--count-only', '-w', 'fields']);
      expect(Number(/"Count" : (\d+)/.exec(count)?.[1])).toBeGreaterThanOrEqual(acknowledged);
      // Its next start has data.
      await lost.stop('SIGTERM');
      await lost.start();
      await cluster.settled();
    });

    it('do not start the cluster again when the others answer late', async () => {
      // A member that lost its volume gave up after a second, took part under its old id, and ended again and again.
      cluster = await TestCluster.create(['keystead', 'keystead', 'keystead'], ['--keystead-rejoin']);
      const [lost, ...others] = cluster.members;
      const [other] = others;
      if (lost === undefined || other === undefined) throw new Error('there are three members');
      const oldId = await cluster.idOf(lost);
      await loseDisk(lost);
      for (const member of others) member.program.signal('SIGSTOP');
      const start = lost.start();
      await lost.program.sees('waiting until it is certain whether the cluster runs already');
      for (const member of others) member.program.signal('SIGCONT');
      await start;
      await eventually('it is a voter again', async () => (await voters(other)) === 3, { timeoutMs: 60_000 });
      expect(await cluster.idOf(lost)).not.toBe(oldId);
    });

    it('stay out while no quorum is left', async () => {
      cluster = await TestCluster.create(['keystead', 'keystead', 'keystead'], ['--keystead-rejoin']);
      const [left, ...lost] = cluster.members;
      if (left === undefined) throw new Error('there are three members');
      const before = await cluster.ctl(left).ok(['member', 'list']);
      await Promise.all(lost.map((member) => loseDisk(member)));
      for (const member of lost) {
        const start = member.start().catch((error: unknown) => String(error));
        await member.program.sees('waiting until the cluster lets this member join again');
        member.program.signal('SIGKILL');
        expect(await start).toContain('keystead');
      }
      const response = await fetch(`http://127.0.0.1:${left.peerPort}/members`);
      const members = (await response.json()) as unknown[];
      expect(members).toHaveLength(before.trim().split('\n').length);
    });

    it('stay out if the leader does not have the flag', async () => {
      cluster = await TestCluster.create(['keystead', 'keystead', 'keystead'], [], () => ({}), [
        { flags: ['--keystead-rejoin'] },
      ]);
      const [lost, other] = cluster.members;
      if (lost === undefined || other === undefined) throw new Error('there are three members');
      await cluster.moveLeader(other);
      await loseDisk(lost);
      const start = lost.start().catch((error: unknown) => String(error));
      await lost.program.sees('--keystead-rejoin is off on the leader');
      lost.program.signal('SIGKILL');
      await start;
      expect(await cluster.ctl(other).ok(['member', 'list'])).toContain(lost.name);
    });
  },
);
