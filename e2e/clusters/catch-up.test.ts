import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PutRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { type Member, serverUnderTest } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';
import { snapshotsReceived } from './snapshots-received.ts';
import { TestCluster } from './test-cluster.ts';

const missing = missingPeers('etcdctl');
const writes = Number(process.env['KEYSTEAD_CATCH_UP_WRITES'] ?? '30000');
const CLIENTS = 50;
const value = Buffer.alloc(256, 'v');

/**
 * Concurrent puts of many clients over one connection, which is opened before the first put.
 *
 * @param goesOn gets the number of puts and returns whether to continue
 * @returns the duration of each put in milliseconds
 */
async function load(endpoint: string, goesOn: (puts: number) => boolean): Promise<number[]> {
  const client = new RpcClient(endpoint);
  const took: number[] = [];
  await client.unary(KV.methods.put, PutRequest.create({ key: Buffer.from('first'), value }));
  let next = 0;
  const work = async (): Promise<void> => {
    while (goesOn(next)) {
      next += 1;
      const startedMs = performance.now();
      const key = Buffer.from(`key/${next % 20_000}`);
      const answer = await client.unary(KV.methods.put, PutRequest.create({ key, value }));
      if (!('messages' in answer)) throw new Error(JSON.stringify(answer));
      took.push(performance.now() - startedMs);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, work));
  client.close();
  return took;
}

function upTo(count: number): (puts: number) => boolean {
  return (puts) => puts < count;
}

function p99(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? NaN;
}

function followerOf({ members }: TestCluster, leader: Member): Member {
  const follower = members.find((member) => member !== leader);
  if (follower === undefined) throw new Error('a cluster of three has followers');
  return follower;
}

describe.skipIf(missing !== undefined)(`a follower that was away ${missing ?? ''}`, () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    // The follower shall need a snapshot, as with etcd.
    const environment = { ETCD_KEYSTEAD_CATCHUP_BYTES: '0' };
    cluster = await TestCluster.create(
      [serverUnderTest, serverUnderTest, serverUnderTest],
      [],
      () => environment,
    );
  });
  afterAll(() => cluster.destroy());

  it(
    `catches up after ${writes} writes, while the leader goes on serving`,
    { timeout: 600_000 },
    async () => {
      const leader = await cluster.leader();
      const follower = followerOf(cluster, leader);
      await load(leader.endpoint, upTo(5000));
      await follower.stop();
      await load(leader.endpoint, upTo(writes));
      const quiet = p99(await load(leader.endpoint, upTo(20_000)));
      const startedMs = performance.now();
      const progress = { isCaughtUp: false };
      const serving = load(leader.endpoint, () => !progress.isCaughtUp);
      await follower.start();
      await eventually(
        'the follower has what the leader has',
        async () => {
          const statuses = await cluster.statuses();
          const applied = statuses.map(({ Status }) => Status.raftAppliedIndex);
          return statuses.length === 3 && Math.max(...applied) - Math.min(...applied) < 500;
        },
        { timeoutMs: 300_000 },
      );
      const caughtUpMs = performance.now() - startedMs;
      progress.isCaughtUp = true;
      const meanwhile = await serving;
      const busy = p99(meanwhile);
      await cluster.settled();
      expect(meanwhile.length).toBeGreaterThan(0);
      console.log(
        `${serverUnderTest}: caught up ${writes} writes in ${Math.round(caughtUpMs)} ms; ` +
          `put p99 ${quiet.toFixed(1)} ms quiet, ${busy.toFixed(1)} ms meanwhile (${(busy / quiet).toFixed(2)} times)`,
      );
    },
  );
});

// Under load, such a member needed a snapshot of the whole store, and then the entries written meanwhile.
describe.skipIf(serverUnderTest === 'etcd' || missing !== undefined)(
  `a follower that was away for a short time ${missing ?? ''}`,
  () => {
    let cluster: TestCluster;
    beforeAll(async () => {
      const flags = ['--snapshot-count=100', '--snapshot-catchup-entries=20'];
      cluster = await TestCluster.create([serverUnderTest, serverUnderTest, serverUnderTest], flags);
    });
    afterAll(() => cluster.destroy());

    it.each(['a follower', 'the leader'])(
      'gets the entries that it lacks and no snapshot: %s',
      async (who) => {
        const leader = await cluster.leader();
        const follower = followerOf(cluster, leader);
        const away = who === 'the leader' ? leader : follower;
        await load(leader.endpoint, upTo(1000));
        await away.kill();
        await load((await cluster.leader()).endpoint, upTo(1000));
        await away.start();
        await cluster.settled();
        expect(await snapshotsReceived(away)).toBe(0);
      },
    );

    // Their leader had only the entries after the last release of its log.
    it('gets the entries that it lacks and no snapshot when all members are restarted', async () => {
      const leader = await cluster.leader();
      const away = followerOf(cluster, leader);
      const others = cluster.members.filter((member) => member !== away);
      await away.kill();
      await load(leader.endpoint, upTo(1000));
      await Promise.all(others.map((member) => member.stop()));
      await Promise.all(cluster.members.map((member) => member.start()));
      await cluster.settled();
      expect(await snapshotsReceived(away)).toBe(0);
    });
  },
);

// Its responses must reach the leader, whose address it has only from the requests of the leader.
describe.skipIf(missing !== undefined)(
  `a follower that was away while an unknown member became the leader ${missing ?? ''}`,
  () => {
    let cluster: TestCluster | undefined;
    afterEach(() => cluster?.destroy());

    it.each(['keystead', 'etcd'] as const)(
      'gets a snapshot from it: %s',
      { timeout: 120_000 },
      async (kind) => {
        const flags = [
          '--snapshot-count=100',
          '--snapshot-catchup-entries=20',
          '--strict-reconfig-check=false',
        ];
        cluster = await TestCluster.create(
          [serverUnderTest, serverUnderTest, serverUnderTest],
          flags,
          () => ({ ETCD_KEYSTEAD_CATCHUP_BYTES: '0' }),
        );
        const leader = await cluster.leader();
        const away = followerOf(cluster, leader);
        await away.kill();
        const joined = await cluster.addLearner(
          kind,
          'joined',
          kind === 'keystead' ? ['--keystead-catchup-bytes=0'] : [],
        );
        await cluster.promote(joined);
        await cluster.moveLeader(joined);
        await load(joined.endpoint, upTo(1000));
        await away.start();
        await cluster.settled();
        await load(away.endpoint, upTo(10));
        expect(await snapshotsReceived(away)).toBeGreaterThan(0);
      },
    );
  },
);
