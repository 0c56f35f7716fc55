import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AppendEncoder } from '../../src/peer/append-codec.ts';
import { SeededRandom } from '../../src/lib/seeded-random.ts';
import {
  InternalRaftRequest,
  MemberAddRequest,
  MemberListRequest,
  PutRequest,
  RangeRequest,
} from '../../src/wire/gen/etcdserverpb.ts';
import { ConfChange, Entry, EntryType, Message, MessageType } from '../../src/wire/gen/raftpb.ts';
import { Cluster, KV } from '../../src/wire/services.ts';
import { Member, serverUnderTest } from '../harness/member.ts';
import { freePort } from '../harness/ports.ts';
import { RpcClient, withClient } from '../harness/rpc-client.ts';
import { statusOf } from '../harness/status.ts';
import { eventually } from '../harness/wait.ts';
import { RandomMessages } from './random-message.ts';
import { residentBytes } from '../harness/processes.ts';

// An acknowledgement of entries beyond the leader's log ended the process with seeds 2 and 3, an entry that cannot be
// decoded with seed 4, a term of 2^64 with seeds 6 to 8.
const seed = Number(process.env['KEYSTEAD_FUZZ_SEED'] ?? 2);
const rounds = Number(process.env['KEYSTEAD_FUZZ_ROUNDS'] ?? 60);
const REQUESTS_PER_ROUND = 40;
/** A read of another client during the requests, on a busy machine. */
const MAX_READ_MS = 2_000;
const MAX_RESIDENT_BYTES = 500 * 1024 * 1024;

const PATHS = [
  '/raft',
  '/raft/snapshot',
  '/raft/probing',
  '/raft/nothing',
  '/members',
  '/members/hashkv',
  '/members/promote/1',
  '/members/promote/99999999999999999999999',
  '/members/promote/%zz',
  '/leases',
  '/leases/internal',
  '/downgrade/enabled',
  '/version',
] as const;

interface Sent {
  readonly path: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Bytes of the body after which the connection is cut; undefined for a whole request. */
  readonly cutAfter: number | undefined;
}

/** The status, or undefined if the connection ended without one. */
function send(port: number, { path, method, headers, body, cutAfter }: Sent): Promise<number | undefined> {
  return new Promise((resolve) => {
    const request = httpRequest(
      { host: '127.0.0.1', port, path, method, headers: { ...headers, 'Content-Length': body.length } },
      (response) => {
        resolve(response.statusCode);
        response.resume();
        // A stream never ends by itself.
        if (path.startsWith('/raft/stream/')) setTimeout(() => request.destroy(), 50);
      },
    );
    request.on('error', () => resolve(undefined));
    request.on('close', () => resolve(undefined));
    request.setTimeout(5_000, () => request.destroy());
    if (cutAfter === undefined) request.end(body);
    else request.write(body.subarray(0, cutAfter), () => setTimeout(() => request.destroy(), 5));
  });
}

interface FakePeer {
  readonly server: Server;
  /** Sent to each that requests a stream of appends, instead of random bytes. */
  append: Message | undefined;
}

/** A server in place of the learner: what it answers to the requests for streams is random. */
async function fakePeer(random: SeededRandom, port: number): Promise<FakePeer> {
  const server = createServer((request: IncomingMessage, response) => {
    request.resume();
    response.writeHead(200, { 'X-Server-Version': '3.7.1' });
    if (fake.append !== undefined && request.url?.startsWith('/raft/stream/msgapp/')) {
      for (const part of new AppendEncoder().encode([fake.append], 'bare').parts) response.write(part);
      return;
    }
    for (let chunk = 0; chunk < 1 + random.int(4); chunk += 1)
      response.write(Buffer.from(Array.from({ length: 1 + random.int(300) }, () => random.int(256))));
    if (random.chance(0.5)) response.end();
    else setTimeout(() => response.destroy(), 20);
  });
  const fake: FakePeer = { server, append: undefined };
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return fake;
}

describe.skipIf(process.platform !== 'linux')(`unusual requests of peers, from seed ${seed}`, () => {
  const random = new SeededRandom(seed);
  const messages = new RandomMessages(random);
  let member: Member;
  let peer: FakePeer;
  let ids: { cluster: bigint; local: bigint; learner: bigint };

  beforeAll(async () => {
    member = await Member.start({ kind: serverUnderTest, name: 'fuzzed' });
    const port = await freePort();
    peer = await fakePeer(random, port);
    const client = new RpcClient(member.endpoint);
    const peerUrls = [`http://127.0.0.1:${port}`];
    await client.unary(Cluster.methods.memberAdd, MemberAddRequest.create({ peerUrls, isLearner: true }));
    const answer = await client.unary(Cluster.methods.memberList, MemberListRequest.create());
    client.close();
    if (!('messages' in answer)) throw new Error(JSON.stringify(answer));
    const [list] = answer.messages as {
      header: { clusterId: bigint; memberId: bigint };
      members: { id: bigint; isLearner: boolean }[];
    }[];
    const learner = list?.members.find(({ isLearner }) => isLearner);
    if (list === undefined || learner === undefined) throw new Error('the learner is a member');
    ids = { cluster: list.header.clusterId, local: list.header.memberId, learner: learner.id };
  });
  afterAll(async () => {
    peer.server.closeAllConnections();
    peer.server.close();
    await member.destroy();
  });

  /** Most are as a member of the cluster sends them. */
  const headers = (): Record<string, string> => ({
    'X-Server-From': random.pick([ids.learner.toString(16), 'x', '0', ids.local.toString(16)]),
    'X-Server-Version': random.chance(0.9) ? '3.7.1' : random.pick(['', '9.9.9', '1', 'a.b.c']),
    'X-Min-Cluster-Version': random.chance(0.9) ? '3.0.0' : '9.0.0',
    'X-Etcd-Cluster-ID': random.chance(0.9) ? ids.cluster.toString(16) : '77',
    'X-PeerURLs': random.pick(['', 'http://127.0.0.1:1', 'http://%zz', ',,,', 'x'.repeat(2000)]),
    'X-Raft-To': random.chance(0.9) ? ids.local.toString(16) : 'zz',
  });

  /** As `RandomMessages`, but for this member and from the learner, so that raft gets it. */
  const raftMessage = (): Buffer => {
    try {
      const from = random.chance(0.8) ? ids.learner : 5n;
      return Message.encode({ ...Message.decode(messages.encoded('raftpb.Message')), to: ids.local, from });
    } catch {
      return messages.encoded('raftpb.Message');
    }
  };

  const bodyFor = (path: string): Buffer => {
    if (path === '/raft') return raftMessage();
    if (path === '/raft/snapshot') {
      const message = raftMessage();
      const length = Buffer.alloc(8);
      length.writeBigUInt64BE(random.chance(0.8) ? BigInt(message.length) : 2n ** 63n - 1n);
      return Buffer.concat([length, message, Buffer.alloc(random.int(20_000), 7)]);
    }
    if (path === '/leases') return messages.encoded('etcdserverpb.LeaseKeepAliveRequest');
    if (path === '/leases/internal') return messages.encoded('etcdserverpb.LeaseTimeToLiveRequest');
    return Buffer.from(
      random.pick(['', '{}', '{"revision":-1}', '{"revision":1e99}', '[', '\0'.repeat(90_000)]),
    );
  };

  it('end their connection and nothing else', { timeout: 300_000 }, async () => {
    const client = new RpcClient(member.endpoint);
    const read = RangeRequest.create({ key: Buffer.from('k'), serializable: true });
    let worstMs = 0;
    let answered = 0;
    for (let round = 0; round < rounds; round += 1) {
      const sent = Array.from({ length: REQUESTS_PER_ROUND }, () => {
        const stream = `/raft/stream/${random.pick(['message', 'msgapp', 'msgappv2', 'x'])}/${ids.learner.toString(16)}`;
        const path = random.chance(0.15) ? stream : random.pick(PATHS);
        const isGet = random.chance(path.startsWith('/raft/stream') ? 0.9 : 0.3);
        const body = isGet ? Buffer.alloc(0) : bodyFor(path);
        return send(member.peerPort, {
          path,
          method: isGet ? 'GET' : random.pick(['POST', 'POST', 'POST', 'PUT']),
          headers: headers(),
          body,
          cutAfter: body.length > 0 && random.chance(0.1) ? random.int(body.length) : undefined,
        });
      });
      const begunMs = performance.now();
      const answer = await client.unary(KV.methods.range, read);
      worstMs = Math.max(worstMs, performance.now() - begunMs);
      expect(answer).toHaveProperty('messages');
      answered += (await Promise.all(sent)).filter((status) => status !== undefined).length;
      member.program.mustBeAlive();
    }
    client.close();
    expect(worstMs).toBeLessThan(MAX_READ_MS);
    expect(answered).toBeGreaterThan((rounds * REQUESTS_PER_ROUND) / 2);
    expect(residentBytes(member.pid)).toBeLessThan(MAX_RESIDENT_BYTES);
  });

  it('cannot make a member store what it could never apply', { timeout: 60_000 }, async () => {
    const { EntryNormal, EntryConfChange, EntryConfChangeV2 } = EntryType;
    const { raftIndex, raftTerm } = await withClient(member.endpoint, statusOf);
    const append = (type: EntryType, data: Buffer): Message => {
      const term = raftTerm + 1;
      const entries = [Entry.create({ type, data, term, index: raftIndex + 1 })];
      const place = { term, index: raftIndex, logTerm: raftTerm, commit: raftIndex + 1 };
      return Message.create({
        ...place,
        type: MessageType.MsgApp,
        to: ids.local,
        from: ids.learner,
        entries,
      });
    };
    const noKind = InternalRaftRequest.encode(InternalRaftRequest.create({ id: 7n }));
    const noMember = ConfChange.encode(ConfChange.create({ nodeId: 5n }));
    const bad = [
      append(EntryNormal, Buffer.from([0, 1, 2])),
      append(EntryNormal, noKind),
      append(EntryConfChange, Buffer.from([0, 1, 2])),
      append(EntryConfChange, noMember),
      append(EntryConfChangeV2, Buffer.alloc(0)),
      append(9 as EntryType, noKind),
    ];
    for (const message of bad) {
      const headers = {
        'X-Server-From': ids.learner.toString(16),
        'X-Server-Version': '3.7.1',
        'X-Min-Cluster-Version': '3.0.0',
        'X-Etcd-Cluster-ID': ids.cluster.toString(16),
      };
      const body = Message.encode(message);
      const post = { path: '/raft', method: 'POST', headers, body, cutAfter: undefined };
      expect(await send(member.peerPort, post)).toBe(500);
      peer.append = message;
      const from = member.program.lines.length;
      await eventually('the append is refused', () => {
        member.program.mustBeAlive();
        return member.program.lines.slice(from).some((line) => line.includes('rejected a raft message'));
      });
      expect(await withClient(member.endpoint, statusOf)).toMatchObject({ raftIndex, raftTerm });
    }
    peer.append = undefined;
  });

  it('leave a member that takes puts, and starts again', { timeout: 120_000 }, async () => {
    const takesPuts = (): Promise<unknown> =>
      eventually(
        'a put',
        async () => {
          member.program.mustBeAlive();
          const client = new RpcClient(member.endpoint, { timeoutMs: 5_000 });
          const put = PutRequest.create({ key: Buffer.from('after'), value: Buffer.from('all') });
          const answer = await client.unary(KV.methods.put, put);
          client.close();
          return 'messages' in answer;
        },
        { timeoutMs: 40_000 },
      );
    await takesPuts();
    await member.restart('SIGKILL');
    await takesPuts();
  });
});
