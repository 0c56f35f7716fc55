import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestClient, type CallResult } from '../grpc/test-client.ts';
import {
  DeleteRangeRequest,
  LeaseGrantRequest,
  LeaseRevokeRequest,
  RangeRequest,
  RangeResponse,
} from '../wire/gen/etcdserverpb.ts';
import { LockRequest, LockResponse, UnlockRequest } from '../wire/gen/v3lockpb.ts';
import { KV, Lease, Lock } from '../wire/services.ts';
import { registerKv } from './kv.ts';
import { LeaderMonitor } from './leader-monitor.ts';
import { registerLease } from './lease.ts';
import { Leases } from '../server/leases.ts';
import { registerLock } from './lock.ts';
import { ApiServer } from './testing/api-server.ts';

let server: ApiServer;
let client: TestClient;

beforeAll(async () => {
  server = await ApiServer.start({
    register: (context) => {
      registerKv(context);
      const { scheduler, config } = context.member;
      const { electionTimeoutMs } = config;
      const leaders = new LeaderMonitor({ scheduler, electionTimeoutMs, hasLeader: () => true });
      registerLease(context, new Leases(context.member, undefined), leaders);
      registerLock(context);
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

const lock = (name: string, lease: bigint, options: { deadline?: number } = {}): Promise<CallResult> =>
  client.unary(Lock.methods.lock.path, LockRequest.encode({ name: Buffer.from(name), lease }), options);

const unlock = (key: Buffer): Promise<CallResult> =>
  client.unary(Lock.methods.unlock.path, UnlockRequest.encode({ key }));

const keyOf = ({ message, details }: CallResult): string => {
  if (message === undefined) throw new Error(details);
  return LockResponse.decode(message).key.toString();
};

async function keys(prefix: string): Promise<string[]> {
  const range = { key: Buffer.from(`${prefix}/`), rangeEnd: Buffer.from(`${prefix}0`) };
  const { message } = await client.unary(
    KV.methods.range.path,
    RangeRequest.encode(RangeRequest.create(range)),
  );
  return RangeResponse.decode(message ?? Buffer.alloc(0)).kvs.map(({ key }) => key.toString());
}

/** Waits until this many callers hold or wait for the lock. */
async function untilQueued(name: string, count: number): Promise<void> {
  await expect.poll(async () => (await keys(name)).length).toBe(count);
}

it('callers get a lock in the order in which they asked', async () => {
  for (const id of [1n, 2n, 3n]) await grant(id);
  const first = await lock('order', 1n);
  expect(keyOf(first)).toBe('order/1');
  const got: string[] = [];
  const second = lock('order', 2n).then((result) => got.push(keyOf(result)));
  await untilQueued('order', 2);
  const third = lock('order', 3n).then((result) => got.push(keyOf(result)));
  await untilQueued('order', 3);
  expect(got).toEqual([]);
  await unlock(Buffer.from('order/1'));
  await second;
  expect(got).toEqual(['order/2']);
  await unlock(Buffer.from('order/2'));
  await third;
  expect(got).toEqual(['order/2', 'order/3']);
});

it('the owner gets the lock again, and without a lease one is granted', async () => {
  await grant(10n);
  const held = await lock('again', 10n);
  expect(keyOf(await lock('again', 10n))).toBe(keyOf(held));
  expect(keyOf(await lock('own lease', 0n))).toMatch(/^own lease\/[0-9a-f]{16}$/);
});

it('the next caller gets the lock when the lease ends', async () => {
  for (const id of [20n, 21n]) await grant(id);
  await lock('lease', 20n);
  const next = lock('lease', 21n);
  await untilQueued('lease', 2);
  await client.unary(Lease.methods.leaseRevoke.path, LeaseRevokeRequest.encode({ id: 20n }));
  expect(keyOf(await next)).toBe('lease/15');
});

it('a caller whose deadline passes leaves the queue', async () => {
  for (const id of [30n, 31n, 32n]) await grant(id);
  await lock('leave', 30n);
  const impatient = lock('leave', 31n, { deadline: Date.now() + 300 });
  await untilQueued('leave', 2);
  expect((await impatient).code).toBe(4);
  await untilQueued('leave', 1);
  const patient = lock('leave', 32n);
  await untilQueued('leave', 2);
  await unlock(Buffer.from('leave/1e'));
  expect(keyOf(await patient)).toBe('leave/20');
});

it('a caller whose key was deleted while it waited has lost its session', async () => {
  for (const id of [40n, 41n]) await grant(id);
  await lock('expired', 40n);
  const waiting = lock('expired', 41n);
  await untilQueued('expired', 2);
  const key = Buffer.from('expired/29');
  await client.unary(
    KV.methods.deleteRange.path,
    DeleteRangeRequest.encode(DeleteRangeRequest.create({ key })),
  );
  await unlock(Buffer.from('expired/28'));
  expect(await waiting).toMatchObject({ code: 2, details: 'mutex: session is expired' });
});

it('errors keep their text and lose their code', async () => {
  expect(await lock('none', 99n)).toMatchObject({
    code: 2,
    details: 'etcdserver: requested lease not found',
  });
  expect(await unlock(Buffer.alloc(0))).toMatchObject({
    code: 2,
    details: 'etcdserver: key is not provided',
  });
});
