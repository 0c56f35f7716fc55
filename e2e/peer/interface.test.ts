import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PeerHttpClient } from '../../src/peer/client.ts';
import { createPeerHttpHandler } from '../../src/peer/http-handler.ts';
import { PeerServer } from '../../src/peer/server.ts';
import { Transport } from '../../src/peer/transport.ts';
import type { Logger } from '../../src/ports/logger.ts';
import type { LeaseRefusal, PeerService, RemoteCluster, RemoteLease } from '../../src/ports/peer-client.ts';
import { errors } from '../../src/wire/errors.ts';
import { LeaseKeepAliveRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { LeaseInternalRequest } from '../../src/wire/gen/leasepb.ts';
import { LeaseTimeToLiveRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { Message, MessageType } from '../../src/wire/gen/raftpb.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';

const missing = missingPeers('etcd', 'etcdctl');

const TIMEOUT_MS = 2_000;
const LEASE_TTL = 3_600;

const silent = (): void => undefined;
const logger: Logger = { debug: silent, info: silent, warn: silent, error: silent };

interface Ask {
  readonly method: string;
  readonly path: string;
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

const comparedHeaders = [
  'content-type',
  'allow',
  'x-etcd-cluster-id',
  'x-content-type-options',
  'x-server-version',
];

function ask(base: string, { method, path, body, headers }: Ask): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) };
    const request = httpRequest(new URL(path, base), {
      method,
      headers: { ...headers, ...length },
      agent: false,
    });
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const shown = comparedHeaders.flatMap((name): [string, unknown][] => {
          const value = response.headers[name];
          return value === undefined ? [] : [[name, value]];
        });
        const answer = Buffer.concat(chunks).toString('latin1');
        resolve({ status: response.statusCode ?? 0, headers: Object.fromEntries(shown), body: answer });
      });
    });
    request.end(body);
  });
}

const versions = { 'X-Server-Version': '3.7.1', 'X-Min-Cluster-Version': '3.0.0' };

function leaseInternal(id: bigint, keys: boolean): Buffer {
  return LeaseInternalRequest.encode({
    leaseTimeToLiveRequest: LeaseTimeToLiveRequest.create({ id, keys }),
  });
}

/** A length that no message in front of a snapshot may have. */
const tooLong = Buffer.from([0, 0, 0, 1, 0, 0, 0, 0]);

describe.skipIf(missing !== undefined)(`the peer interface against etcd ${missing ?? ''}`, () => {
  let etcd: Member;
  let etcdUrl: string;
  let own: PeerServer;
  let ownUrl: string;
  let cluster: RemoteCluster;
  let lease: bigint;
  let transport: Transport;
  const client = new PeerHttpClient({ dialTimeoutMs: TIMEOUT_MS });

  beforeAll(async () => {
    etcd = await Member.start({ kind: 'etcd' });
    etcdUrl = `http://127.0.0.1:${etcd.peerPort}`;
    const ctl = new Etcdctl(etcd.endpoint);
    for (const value of ['1', '2', '3']) await ctl.ok(['put', 'key', value]);
    await ctl.ok(['compact', '2']);
    lease = BigInt(`0x${(await ctl.ok(['lease', 'grant', String(LEASE_TTL)])).split(' ')[1] ?? ''}`);
    await ctl.ok(['put', 'leased', '1', `--lease=${lease.toString(16)}`]);
    cluster = await client.cluster([etcdUrl], TIMEOUT_MS);
    const hash = await client.hashKv([etcdUrl], cluster.clusterId, 0, TIMEOUT_MS);
    const [self] = cluster.members;
    if (self === undefined) throw new Error('a cluster has a member');

    const known = <T>(id: bigint, answer: T): Promise<T | LeaseRefusal> =>
      Promise.resolve(id === lease ? answer : 'not-found');
    const service: PeerService = {
      clusterId: cluster.clusterId,
      members: () => cluster.members,
      versions: () => ({ cluster: '3.7.0', storage: '3.7.0' }),
      promote: (id) => Promise.reject(id === self.id ? errors.MemberNotLearner : errors.MemberNotFound),
      rejoin: () => Promise.reject(errors.NotLeader),
      renewLease: (id) => known(id, LEASE_TTL),
      leaseTimeToLive: (id): Promise<RemoteLease | LeaseRefusal> =>
        known(id, { ttl: LEASE_TTL - 1, grantedTtl: LEASE_TTL, keys: [Buffer.from('leased')] }),
      hashKv: (revision) => {
        if (revision > hash.revision) return Promise.reject(errors.FutureRev);
        return revision === 1 ? Promise.reject(errors.Compacted) : Promise.resolve(hash);
      },
      downgradeEnabled: () => Promise.resolve(false),
    };
    transport = new Transport({
      localId: self.id,
      clusterId: cluster.clusterId,
      serverVersion: '3.7.1',
      logger,
      urls: [],
      clock: { now: () => performance.now(), wall: () => Date.now() },
      dialTimeoutMs: TIMEOUT_MS,
      reconnectTimeoutMs: TIMEOUT_MS,
      handler: {
        onMessages: () => undefined,
        isLogBehind: () => false,
        isIdRemoved: () => false,
        reportUnreachable: silent,
        reportSnapshot: silent,
        keptOfSnapshot: () => 0,
        onSnapshot: () => Promise.resolve(),
        onPeerGone: silent,
        onRemoved: silent,
      },
    });
    own = new PeerServer({
      handler: createPeerHttpHandler({
        service,
        logger,
        serverVersion: '3.7.1',
        raft: (request, response) => transport.serve(request, response),
      }),
    });
    ownUrl = `http://127.0.0.1:${await own.listen({ host: '127.0.0.1', port: 0, secure: false })}`;
  });

  afterAll(async () => {
    client.close();
    transport.stop();
    await own.close();
    await etcd.destroy();
  });

  const cases: readonly (readonly [title: string, make: () => Ask])[] = [
    ['members', () => ({ method: 'GET', path: '/members' })],
    ['members by POST', () => ({ method: 'POST', path: '/members' })],
    ['a path below members', () => ({ method: 'GET', path: '/members/other' })],
    ['promote of a stranger', () => ({ method: 'POST', path: '/members/promote/1' })],
    ['promote of no id', () => ({ method: 'POST', path: '/members/promote/x1' })],
    ['promote of too large an id', () => ({ method: 'POST', path: '/members/promote/18446744073709551616' })],
    [
      'promote of a voter',
      () => ({ method: 'POST', path: `/members/promote/${cluster.members[0]?.id ?? 0n}` }),
    ],
    ['promote by GET', () => ({ method: 'GET', path: '/members/promote/1' })],
    ['version', () => ({ method: 'GET', path: '/version' })],
    ['version by POST', () => ({ method: 'POST', path: '/version' })],
    ['hash', () => ({ method: 'GET', path: '/members/hashkv', body: '{}' })],
    ['hash at revision 0', () => ({ method: 'GET', path: '/members/hashkv', body: '{"revision":0}' })],
    ['hash of no request', () => ({ method: 'GET', path: '/members/hashkv' })],
    [
      'hash of a compacted revision',
      () => ({ method: 'GET', path: '/members/hashkv', body: '{"revision":1}' }),
    ],
    [
      'hash of a future revision',
      () => ({ method: 'GET', path: '/members/hashkv', body: '{"revision":99}' }),
    ],
    ['hash by POST', () => ({ method: 'POST', path: '/members/hashkv', body: '{}' })],
    [
      'hash for another cluster',
      () => ({ method: 'GET', path: '/members/hashkv', body: '{}', headers: { 'X-Etcd-Cluster-ID': 'abc' } }),
    ],
    ['downgrade', () => ({ method: 'GET', path: '/downgrade/enabled' })],
    ['downgrade by POST', () => ({ method: 'POST', path: '/downgrade/enabled' })],
    ['leases by GET', () => ({ method: 'GET', path: '/leases' })],
    ['leases of garbage', () => ({ method: 'POST', path: '/leases', body: '\xff\xff' })],
    ['too long a request', () => ({ method: 'POST', path: '/leases', body: Buffer.alloc(70_000) })],
    [
      'renewal of an unknown lease',
      () => ({ method: 'POST', path: '/leases', body: LeaseKeepAliveRequest.encode({ id: 1n }) }),
    ],
    [
      'renewal',
      () => ({ method: 'POST', path: '/leases', body: LeaseKeepAliveRequest.encode({ id: lease }) }),
    ],
    [
      'time to live of an unknown lease',
      () => ({ method: 'POST', path: '/leases/internal', body: leaseInternal(1n, false) }),
    ],
    ['time to live', () => ({ method: 'POST', path: '/leases/internal', body: leaseInternal(lease, false) })],
    [
      'time to live with keys',
      () => ({ method: 'POST', path: '/leases/internal', body: leaseInternal(lease, true) }),
    ],
    ['an unknown path', () => ({ method: 'GET', path: '/nothing' })],
    ['the root', () => ({ method: 'GET', path: '/' })],
    ['raft by GET', () => ({ method: 'GET', path: '/raft' })],
    ['raft of an old release', () => ({ method: 'POST', path: '/raft', body: 'x' })],
    [
      'raft of too new a release',
      () => ({ method: 'POST', path: '/raft', headers: { ...versions, 'X-Min-Cluster-Version': '3.8.0' } }),
    ],
    [
      'raft of another cluster',
      () => ({ method: 'POST', path: '/raft', headers: { ...versions, 'X-Etcd-Cluster-ID': '1' } }),
    ],
    ['raft of garbage', () => ({ method: 'POST', path: '/raft', headers: welcome(), body: 'garbage' })],
    ['an unknown path under raft', () => ({ method: 'GET', path: '/raft/other' })],
    ['a stream by POST', () => ({ method: 'POST', path: '/raft/stream/message/1', headers: welcome() })],
    ['a stream of no id', () => ({ method: 'GET', path: '/raft/stream/message/xyz', headers: welcome() })],
    ['a stream of a stranger', () => ({ method: 'GET', path: '/raft/stream/msgapp/1', headers: welcome() })],
    ['an unknown stream', () => ({ method: 'GET', path: '/raft/stream/other/1', headers: welcome() })],
    [
      'a stream for another cluster',
      () => ({ method: 'GET', path: '/raft/stream/message/1', headers: versions }),
    ],
    ['a snapshot by GET', () => ({ method: 'GET', path: '/raft/snapshot' })],
    [
      'a snapshot of another kind of message',
      () => ({
        method: 'POST',
        path: '/raft/snapshot',
        headers: welcome(),
        body: Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0, 0, 2]), Buffer.from([8, 8])]),
      }),
    ],
  ];

  function welcome(): Record<string, string> {
    return { ...versions, 'X-Etcd-Cluster-ID': cluster.clusterId.toString(16) };
  }

  it.each(cases)('%s is answered alike', async (_, make) => {
    const question = make();
    expect(await ask(ownUrl, question)).toEqual(await ask(etcdUrl, question));
  });

  it('refuses too long a message in front of a snapshot', async () => {
    const question = { method: 'POST', path: '/raft/snapshot', headers: welcome(), body: tooLong };
    for (const url of [ownUrl, etcdUrl]) {
      const { status, body } = await ask(url, question);
      expect(status).toBe(400);
      expect(body).toMatch(/^failed to decode raft message \(/);
    }
  });

  it('refuses messages for another member', async () => {
    const message = Message.create({ type: MessageType.MsgHeartbeat, to: 5n, from: 6n });
    for (const url of [ownUrl, etcdUrl]) {
      const response = await fetch(`${url}/raft`, {
        method: 'POST',
        headers: welcome(),
        body: new Uint8Array(Message.encode(message)),
      });
      expect(response.status).toBe(500);
      await response.body?.cancel();
    }
  });

  it('is understood by the client, of either kind', async () => {
    const [{ id } = { id: 0n }] = cluster.members;
    for (const url of [ownUrl, etcdUrl]) {
      const urls = ['http://127.0.0.1:1', url];
      expect(await client.cluster(urls, TIMEOUT_MS)).toEqual(cluster);
      expect(await client.versions(urls, TIMEOUT_MS)).toEqual({
        server: '3.7.1',
        cluster: '3.7.0',
        storage: '3.7.0',
      });
      expect(await client.downgradeEnabled(urls, TIMEOUT_MS)).toBe(false);
      await expect(client.promote(urls, 1n, undefined, TIMEOUT_MS)).rejects.toBe(errors.MemberNotFound);
      await expect(client.promote(urls, id, 'token', TIMEOUT_MS)).rejects.toBe(errors.MemberNotLearner);
      expect(await client.renewLease(urls, lease, TIMEOUT_MS)).toBe(LEASE_TTL);
      await expect(client.renewLease(urls, 1n, TIMEOUT_MS)).rejects.toBe(errors.LeaseNotFound);
      expect(await client.leaseTimeToLive(urls, lease, true, TIMEOUT_MS)).toEqual({
        ttl: LEASE_TTL - 1,
        grantedTtl: LEASE_TTL,
        keys: [Buffer.from('leased')],
      });
      await expect(client.leaseTimeToLive(urls, 1n, true, TIMEOUT_MS)).rejects.toBe(errors.LeaseNotFound);
      const { clusterId } = cluster;
      expect((await client.hashKv(urls, clusterId, 0, TIMEOUT_MS)).hash).toBeGreaterThan(0);
      await expect(client.hashKv(urls, clusterId, 1, TIMEOUT_MS)).rejects.toBe(errors.Compacted);
      await expect(client.hashKv(urls, clusterId, 99, TIMEOUT_MS)).rejects.toBe(errors.FutureRev);
      await expect(client.hashKv(urls, 5n, 0, TIMEOUT_MS)).rejects.toBe(errors.ClusterIDMismatch);
    }
    await expect(client.versions(['http://127.0.0.1:1'], TIMEOUT_MS)).rejects.toThrow(/ECONNREFUSED/);
  });
});
