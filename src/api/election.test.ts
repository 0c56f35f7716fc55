import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestClient, type CallResult } from '../grpc/test-client.ts';
import { LeaseGrantRequest, LeaseRevokeRequest } from '../wire/gen/etcdserverpb.ts';
import {
  CampaignRequest,
  CampaignResponse,
  type LeaderKey,
  LeaderRequest,
  LeaderResponse,
  ProclaimRequest,
  ResignRequest,
} from '../wire/gen/v3electionpb.ts';
import { Election, Lease } from '../wire/services.ts';
import { registerElection } from './election.ts';
import { LeaderMonitor } from './leader-monitor.ts';
import { registerLease } from './lease.ts';
import { Leases } from '../server/leases.ts';
import { ApiServer } from './testing/api-server.ts';

const { methods } = Election;
let server: ApiServer;
let client: TestClient;

beforeAll(async () => {
  server = await ApiServer.start({
    register: (context) => {
      const { scheduler, config } = context.member;
      const leaders = new LeaderMonitor({
        scheduler,
        electionTimeoutMs: config.electionTimeoutMs,
        hasLeader: () => true,
      });
      registerLease(context, new Leases(context.member, undefined), leaders);
      registerElection(context, leaders);
    },
  });
  client = new TestClient(`127.0.0.1:${server.port}`);
});

afterAll(async () => {
  client.close();
  await server.stop();
});

const grant = (id: bigint): Promise<CallResult> =>
  client.unary(Lease.methods.leaseGrant.path, LeaseGrantRequest.encode({ id, ttl: 60 }));

async function campaign(name: string, lease: bigint, value: string): Promise<LeaderKey> {
  const body = CampaignRequest.encode({ name: Buffer.from(name), lease, value: Buffer.from(value) });
  const { message, details } = await client.unary(methods.campaign.path, body);
  const leader = message === undefined ? undefined : CampaignResponse.decode(message).leader;
  if (leader === undefined) throw new Error(details);
  return leader;
}

const proclaim = (leader: LeaderKey | undefined, value: string): Promise<CallResult> =>
  client.unary(methods.proclaim.path, ProclaimRequest.encode({ leader, value: Buffer.from(value) }));

const resign = (leader: LeaderKey | undefined): Promise<CallResult> =>
  client.unary(methods.resign.path, ResignRequest.encode({ leader }));

const leader = (name: string): Promise<CallResult> =>
  client.unary(methods.leader.path, LeaderRequest.encode({ name: Buffer.from(name) }));

async function leaderValue(name: string): Promise<string> {
  const { message, details } = await leader(name);
  return message === undefined ? details : (LeaderResponse.decode(message).kv?.value.toString() ?? '');
}

it('the first to campaign leads, and the next when it resigns', async () => {
  for (const id of [1n, 2n]) await grant(id);
  expect(await leaderValue('turns')).toBe('election: no leader');
  const first = await campaign('turns', 1n, 'first');
  expect(first.key.toString()).toBe('turns/1');
  const second = campaign('turns', 2n, 'second');
  expect(await leaderValue('turns')).toBe('first');
  expect((await resign(first)).code).toBe(0);
  await second;
  expect(await leaderValue('turns')).toBe('second');
});

it('a leader proclaims new values as long as it leads', async () => {
  await grant(10n);
  const held = await campaign('values', 10n, 'a');
  expect((await proclaim(held, 'b')).code).toBe(0);
  expect(await leaderValue('values')).toBe('b');
  const again = await campaign('values', 10n, 'c');
  expect(again.rev).toBe(held.rev);
  expect(await leaderValue('values')).toBe('c');
  await resign(held);
  expect(await proclaim(held, 'd')).toMatchObject({ code: 2, details: 'election: not leader' });
});

it('a candidate whose deadline passes leaves the queue', async () => {
  for (const id of [20n, 21n, 22n]) await grant(id);
  const first = await campaign('leave', 20n, 'first');
  const body = CampaignRequest.encode({ name: Buffer.from('leave'), lease: 21n, value: Buffer.alloc(0) });
  const impatient = await client.unary(methods.campaign.path, body, { deadline: Date.now() + 300 });
  expect(impatient.code).toBe(4);
  const patient = campaign('leave', 22n, 'patient');
  await resign(first);
  await patient;
  expect(await leaderValue('leave')).toBe('patient');
});

it('an observer sees each leader and all its proclaimed values', async () => {
  for (const id of [30n, 31n]) await grant(id);
  const seen: string[] = [];
  const stream = client.serverStream(
    methods.observe.path,
    LeaderRequest.encode({ name: Buffer.from('seen') }),
  );
  stream.on('data', (bytes: Buffer) => seen.push(LeaderResponse.decode(bytes).kv?.value.toString() ?? ''));
  stream.on('error', () => undefined);
  const first = await campaign('seen', 30n, 'a');
  await expect.poll(() => seen).toEqual(['a']);
  await proclaim(first, 'b');
  const second = campaign('seen', 31n, 'c');
  await expect.poll(() => seen).toEqual(['a', 'b']);
  await client.unary(Lease.methods.leaseRevoke.path, LeaseRevokeRequest.encode({ id: 30n }));
  await second;
  await expect.poll(() => seen).toEqual(['a', 'b', 'c']);
  await resign(await second);
  await grant(32n);
  await campaign('seen', 32n, 'd');
  await expect.poll(() => seen).toEqual(['a', 'b', 'c', 'd']);
  stream.cancel();
  await expect.poll(() => server.member.hub.counters).toMatchObject({ watchers: 0, outlets: 0 });
});

it('a missing field is named in the error', async () => {
  const missing = { code: 2, details: '"leader" field must be provided' };
  expect(await proclaim(undefined, 'x')).toMatchObject(missing);
  expect(await resign(undefined)).toMatchObject(missing);
});
