import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LeaseTimeToLiveResponse } from '../src/wire/gen/etcdserverpb.ts';
import { CampaignResponse, type LeaderKey, LeaderResponse } from '../src/wire/gen/v3electionpb.ts';
import { Election, Lease, Lock } from '../src/wire/services.ts';
import { comparable, comparableMessage } from './differential/comparable.ts';
import { plain } from './differential/plain.ts';
import { Member } from './harness/member.ts';
import { missingPeers } from './harness/paths.ts';
import { type Answer, RpcClient } from './harness/rpc-client.ts';
import { eventually } from './harness/wait.ts';

const missing = missingPeers('etcd');
const bytes = (text: string): Buffer => Buffer.from(text);

/** The responses of a session, in order. */
type Session = (client: RpcClient) => Promise<unknown[]>;

const grant = (client: RpcClient, id: bigint): Promise<Answer> =>
  client.unary(Lease.methods.leaseGrant, { id, ttl: 60 });

const lock = (client: RpcClient, name: string, lease: bigint): Promise<Answer> =>
  client.unary(Lock.methods.lock, { name: bytes(name), lease });

const unlock = (client: RpcClient, key: string): Promise<Answer> =>
  client.unary(Lock.methods.unlock, { key: bytes(key) });

const campaign = (client: RpcClient, name: string, lease: bigint, value: string): Promise<Answer> =>
  client.unary(Election.methods.campaign, { name: bytes(name), lease, value: bytes(value) });

/** Waits until the lease has its key in the queue. */
function untilQueued(client: RpcClient, lease: bigint): Promise<boolean> {
  return eventually(`lease ${lease} in the queue`, async () => {
    const answer = await client.unary(Lease.methods.leaseTimeToLive, { id: lease, keys: true });
    return 'messages' in answer && (answer.messages[0] as LeaseTimeToLiveResponse).keys.length === 1;
  });
}

function wonBy(answer: Answer): LeaderKey {
  if ('code' in answer) throw new Error(answer.details);
  const leader = (answer.messages[0] as CampaignResponse).leader;
  if (leader === undefined) throw new Error('a campaign that was won names its key');
  return leader;
}

const sessions: Readonly<Record<string, Session>> = {
  'locks that nobody else wants': async (client) => [
    await grant(client, 123n),
    await lock(client, 'l', 123n),
    await lock(client, 'l', 123n),
    await lock(client, '', 123n),
    await lock(client, 'l', 999n),
    await lock(client, 'l', -5n),
    await unlock(client, 'l/7b'),
    await unlock(client, 'l/7b'),
    await unlock(client, ''),
  ],

  'a lock that another holds': async (client) => {
    for (const id of [1n, 2n]) await grant(client, id);
    const first = await lock(client, 'wanted', 1n);
    const second = lock(client, 'wanted', 2n);
    await untilQueued(client, 2n);
    return [first, await unlock(client, 'wanted/1'), await second];
  },

  'an election with one candidate': async (client) => {
    const { campaign: enter, leader: whoLeads, proclaim, resign } = Election.methods;
    await grant(client, 10n);
    const first = await campaign(client, 'e', 10n, 'v');
    const leader = wonBy(first);
    const nobody = { name: bytes(''), key: bytes(''), rev: 0, lease: 0n };
    const value = bytes('p');
    return [
      first,
      await campaign(client, 'e', 10n, 'v'),
      await campaign(client, 'e', 10n, 'v2'),
      await campaign(client, 'e', 999n, 'v2'),
      await client.unary(whoLeads, { name: bytes('e') }),
      await client.unary(whoLeads, { name: bytes('none') }),
      await client.unary(proclaim, { leader, value }),
      await client.unary(proclaim, { leader: undefined, value }),
      await client.unary(proclaim, { leader: nobody, value }),
      await client.unary(proclaim, { leader: { ...leader, rev: 1 }, value }),
      await client.unary(proclaim, { leader: { ...leader, lease: 777n }, value }),
      await client.unary(resign, { leader: undefined }),
      await client.unary(resign, { leader: nobody }),
      await client.unary(resign, { leader: { ...leader, rev: 1 } }),
      await client.unary(resign, { leader }),
      await client.unary(resign, { leader }),
      await client.unary(proclaim, { leader, value }),
      await client.unary(enter, { name: bytes('e'), lease: 10n, value: Buffer.alloc(1_700_000) }),
    ];
  },

  'an observed election': async (client) => {
    for (const id of [20n, 21n]) await grant(client, id);
    const stream = client.openServerStream(Election.methods.observe, { name: bytes('seen') });
    const seen: LeaderResponse[] = [];
    stream.on('data', (message: LeaderResponse) => seen.push(message));
    stream.on('error', () => undefined);
    const untilSeen = (count: number): Promise<boolean> =>
      eventually(`${count} messages seen`, () => seen.length >= count);
    const first = await campaign(client, 'seen', 20n, 'a');
    await untilSeen(1);
    await client.unary(Election.methods.proclaim, { leader: wonBy(first), value: bytes('b') });
    await untilSeen(2);
    const second = campaign(client, 'seen', 21n, 'c');
    await untilQueued(client, 21n);
    await client.unary(Election.methods.resign, { leader: wonBy(first) });
    await second;
    await untilSeen(3);
    stream.cancel();
    return [first, await second, ...seen.map((message) => comparableMessage(plain(message) as never))];
  },
};

describe.skipIf(missing !== undefined)(`Lock and Election behave as in etcd ${missing ?? ''}`, () => {
  const members: Member[] = [];
  const clients: RpcClient[] = [];

  beforeAll(async () => {
    for (const kind of ['etcd', 'keystead'] as const) {
      const member = await Member.start({ kind });
      members.push(member);
      clients.push(new RpcClient(member.endpoint));
    }
  });

  afterAll(async () => {
    for (const client of clients) client.close();
    for (const member of members) await member.stop();
  });

  for (const [title, session] of Object.entries(sessions)) {
    it(title, async () => {
      const [etcd, keystead] = await Promise.all(
        clients.map(async (client) => {
          const answers = await session(client);
          return answers.map((answer) => (isAnswer(answer) ? comparable(answer) : answer));
        }),
      );
      expect(keystead).toEqual(etcd);
    });
  }
});

function isAnswer(value: unknown): value is Answer {
  return typeof value === 'object' && value !== null && ('messages' in value || 'code' in value);
}
