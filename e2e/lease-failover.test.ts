import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LeaseKeepAliveResponse, LeaseTimeToLiveResponse } from '../src/wire/gen/etcdserverpb.ts';
import { PutRequest } from '../src/wire/gen/etcdserverpb.ts';
import { KV, Lease } from '../src/wire/services.ts';
import { Member } from './harness/member.ts';
import { freePort } from './harness/ports.ts';
import { RpcClient } from './harness/rpc-client.ts';
import { messageOf, statusOf } from './harness/status.ts';
import { eventually } from './harness/wait.ts';

const NAMES = ['a', 'b', 'c'];
const ID = 7n;
/** Shorter than the time for which the leader hangs. */
const TTL_SECONDS = 4;
const HANGING_MS = 7_000;

describe('leases of a cluster', () => {
  let members: Member[] = [];
  let clients: RpcClient[] = [];

  beforeAll(async () => {
    const peerPorts = await Promise.all(NAMES.map(() => freePort()));
    const initial = NAMES.map((name, at) => `${name}=http://127.0.0.1:${peerPorts[at]}`).join(',');
    members = await Promise.all(
      NAMES.map((name, at) =>
        Member.start({
          kind: 'keystead',
          name,
          peerPort: peerPorts[at] ?? 0,
          flags: [`--initial-cluster=${initial}`],
        }),
      ),
    );
    clients = members.map(({ endpoint }) => new RpcClient(endpoint));
  });

  afterAll(async () => {
    for (const client of clients) client.close();
    for (const member of members) await member.destroy();
  });

  async function leaderAt(): Promise<number> {
    for (const [at, client] of clients.entries()) {
      const { header, leader } = await statusOf(client);
      if (header?.memberId === leader) return at;
    }
    throw new Error('no leader');
  }

  async function keepAlive(client: RpcClient, until: number): Promise<void> {
    while (Date.now() < until) {
      const answer = await client.exchange(Lease.methods.leaseKeepAlive, { id: ID });
      expect((messageOf(answer) as LeaseKeepAliveResponse).ttl).toBe(TTL_SECONDS);
      await sleep(500);
    }
  }

  it('survive a leader that hangs and resumes', async () => {
    const leader = await eventually('a leader', leaderAt);
    const follower = clients[(leader + 1) % clients.length];
    const hanging = members[leader];
    if (follower === undefined || hanging === undefined) throw new Error('three members');
    messageOf(await follower.unary(Lease.methods.leaseGrant, { id: ID, ttl: TTL_SECONDS }));
    const put = PutRequest.create({ key: Buffer.from('k'), lease: ID });
    messageOf(await follower.unary(KV.methods.put, put));
    process.kill(hanging.pid, 'SIGSTOP');
    try {
      await keepAlive(follower, Date.now() + HANGING_MS);
    } finally {
      process.kill(hanging.pid, 'SIGCONT');
    }
    const { leader: now } = await statusOf(follower);
    await eventually('the former leader following', async () => {
      const client = clients[leader];
      return client !== undefined && (await statusOf(client)).leader === now;
    });
    await keepAlive(follower, Date.now() + 1_000);
    const left = await follower.unary(Lease.methods.leaseTimeToLive, { id: ID, keys: true });
    expect((messageOf(left) as LeaseTimeToLiveResponse).keys).toEqual([Buffer.from('k')]);
  });
});
