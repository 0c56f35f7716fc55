import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PutRequest, RangeRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member, serverUnderTest } from '../harness/member.ts';
import { freePort } from '../harness/ports.ts';
import { findLeader } from '../harness/leader.ts';
import { type RpcClient, withClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';

const names = ['a', 'b', 'c'] as const;
const rounds = Number(process.env['KEYSTEAD_FAILOVER_ROUNDS'] ?? '3');

interface Place {
  readonly name: string;
  readonly peerPort: number;
}

async function startCluster(): Promise<Member[]> {
  const places: Place[] = [];
  for (const name of names) places.push({ name, peerPort: await freePort() });
  const cluster = places.map(({ name, peerPort }) => `${name}=http://127.0.0.1:${peerPort}`).join(',');
  return Promise.all(
    places.map(({ name, peerPort }) =>
      Member.start({ kind: serverUnderTest, name, peerPort, flags: [`--initial-cluster=${cluster}`] }),
    ),
  );
}

describe('three members whose leader is killed', () => {
  let members: Member[] = [];
  beforeAll(async () => {
    members = await startCluster();
  });
  afterAll(async () => {
    await Promise.all(members.map((member) => member.destroy()));
  });

  const leader = (): Promise<Member> => findLeader(members);

  const put = (client: RpcClient, value: string): ReturnType<RpcClient['unary']> =>
    client.unary(
      KV.methods.put,
      PutRequest.create({ key: Buffer.from('counter'), value: Buffer.from(value) }),
    );

  it(`serves again after each of ${rounds} kills, and loses nothing acknowledged`, async () => {
    const took: number[] = [];
    for (let round = 1; round <= rounds; round++) {
      const killed = await leader();
      const other = members.find((member) => member !== killed) as Member;
      await withClient(other.endpoint, async (client) => {
        expect(await put(client, `before ${round}`)).toHaveProperty('messages');
        await killed.kill();
        const startedAt = performance.now();
        await eventually(
          'a put after the kill',
          async () => 'messages' in (await put(client, `after ${round}`)),
          {
            everyMs: 1,
          },
        );
        took.push(Math.round(performance.now() - startedAt));
        const read = await client.unary(
          KV.methods.range,
          RangeRequest.create({ key: Buffer.from('counter') }),
        );
        expect(
          JSON.stringify(read, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
        ).toContain(JSON.stringify(Buffer.from(`after ${round}`)));
      });
      await killed.start();
    }
    console.log(`${serverUnderTest}: from the kill of the leader to the next put: ${took.join(', ')} ms`);
  });

  it('has the same history on all members afterwards', async () => {
    const [first] = members;
    if (first === undefined) throw new Error('the cluster has members');
    const { header } = JSON.parse(await new Etcdctl(first.endpoint).ok(['get', 'counter', '-w', 'json'])) as {
      header: { revision: number };
    };
    await eventually('equal hashes', async () => {
      const hashes = await Promise.all(
        members.map((member) =>
          new Etcdctl(member.endpoint).ok(['endpoint', 'hashkv', `--rev=${header.revision}`]),
        ),
      );
      return new Set(hashes.map((line) => line.split(', ').slice(1).join())).size === 1;
    });
  });
});
