import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Message, MessageType } from '../wire/gen/raftpb.ts';
import { Recorder, TestMember, type TestMemberOptions } from './testing/test-member.ts';

const A = 0xa1n;
const B = 0xb2n;

const running: TestMember[] = [];

async function start(options: TestMemberOptions): Promise<TestMember> {
  const member = await TestMember.start(options);
  running.push(member);
  return member;
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((member) => member.stop()));
});

function until(condition: () => void): Promise<void> {
  return vi.waitFor(condition, { timeout: 10_000, interval: 5 });
}

interface Pair {
  readonly a: TestMember;
  readonly b: TestMember;
  readonly atA: Recorder;
  readonly atB: Recorder;
}

async function connectedPair(): Promise<Pair> {
  const atA = new Recorder();
  const atB = new Recorder();
  const a = await start({ id: A, handler: atA });
  const b = await start({ id: B, handler: atB });
  a.transport.addPeer(B, [b.url]);
  b.transport.addPeer(A, [a.url]);
  // With one stream a member counts as active. The second one, opened while the first ends, would make it active again.
  await until(() => {
    for (const member of [a, b]) expect(member.streamsOpened).toBe(2);
  });
  return { a, b, atA, atB };
}

const heartbeat = (to: bigint, from: bigint, commit: number): Message =>
  Message.create({ type: MessageType.MsgHeartbeat, to, from, term: 1, commit });

const append = (index: number, data: Buffer): Message =>
  Message.create({
    type: MessageType.MsgApp,
    to: B,
    from: A,
    term: 1,
    logTerm: 1,
    index,
    commit: index,
    entries: [{ type: 0, term: 1, index: index + 1, data }],
  });

const bytesOf = (messages: readonly Message[]): Buffer =>
  Buffer.concat(messages.map((message) => Message.encode(message)));

const snapshotMessage = (): Message =>
  Message.create({
    type: MessageType.MsgSnap,
    to: B,
    from: A,
    term: 2,
    snapshot: { data: undefined, metadata: { confState: undefined, index: 77, term: 2 } },
  });

describe('two transports', () => {
  it('exchange large and small messages in order', async () => {
    const { a, b, atA, atB } = await connectedPair();
    const sent: Message[] = [];
    for (let i = 0; i < 300; i += 1) sent.push(append(i, Buffer.alloc(i % 10 === 0 ? 50_000 : 200, i)));
    for (let i = 0; i < sent.length; i += 25) a.transport.send(sent.slice(i, i + 25));
    b.transport.send([heartbeat(A, B, 5)]);
    await until(() => expect(atB.messages).toHaveLength(sent.length));
    expect(bytesOf(atB.messages).equals(bytesOf(sent))).toBe(true);
    await until(() => expect(atA.messages).toEqual([heartbeat(A, B, 5)]));
    expect(atA.unreachable).toEqual([]);
  });

  it('send heartbeats while appends wait', async () => {
    const { a, atB } = await connectedPair();
    await until(() => expect(a.transport.activeSince(B)).toBeDefined());
    const data = Buffer.alloc(1_000_000, 1);
    const appends = Array.from({ length: 60 }, (_, i) => append(i, data));
    a.transport.send([...appends, heartbeat(B, A, 1)]);
    await until(() => expect(atB.messages).toHaveLength(61));
    const place = atB.messages.findIndex(({ type }) => type === MessageType.MsgHeartbeat);
    expect(place).toBeLessThan(60);
  });

  // A restarted member read entries faster than it wrote them. It had no processor time for those that its clients waited
  // for, and held hundreds of megabytes.
  it('read no further appends while the log is behind, but go on with other messages', async () => {
    const { a, b, atB } = await connectedPair();
    atB.logBehind = true;
    const data = Buffer.alloc(64 << 10, 1);
    const sent = 256;
    for (let index = 1; index <= sent; index += 1) a.transport.send([append(index, data)]);
    const received = (wanted: MessageType): number =>
      atB.messages.filter(({ type }) => type === wanted).length;
    const appends = (): number => received(MessageType.MsgApp);
    await until(() => expect(appends()).toBeGreaterThan(0));
    for (let beats = 1; beats <= 40; beats += 1) {
      a.transport.send([heartbeat(B, A, beats)]);
      await until(() => expect(received(MessageType.MsgHeartbeat)).toBe(beats));
    }
    expect(appends()).toBeLessThan(sent / 2);
    atB.logBehind = false;
    await until(() => expect(appends()).toBe(sent));
    expect(b.streamsOpened).toBe(2);
  });

  it('end the stream of a message that is refused', async () => {
    const { a, b, atA, atB } = await connectedPair();
    await until(() => expect(a.transport.activeSince(B)).toBeDefined());
    atB.refusal = 'an entry cannot be applied';
    a.transport.send([append(1, Buffer.alloc(10))]);
    await until(() => expect([...b.transport.counts()][0]?.receivedFailures).toBe(1));
    atB.refusal = undefined;
    await until(() => {
      a.transport.send([append(2, Buffer.alloc(10))]);
      expect(atB.messages.length).toBeGreaterThan(0);
    });
    expect(atB.messages[0]).toEqual(append(2, Buffer.alloc(10)));
    expect(atA.messages).toEqual([]);
  });

  it('post single messages while there is no stream', async () => {
    const atA = new Recorder();
    const atB = new Recorder();
    const a = await start({ id: A, handler: atA });
    const b = await start({ id: B, handler: atB });
    // B does not know A, so it refuses the stream, but it accepts messages.
    a.transport.addPeer(B, [b.url]);
    a.transport.send([heartbeat(B, A, 9)]);
    await until(() => expect(atB.messages).toEqual([heartbeat(B, A, 9)]));
    // B knows the address of A from the request, and responds to it.
    b.transport.send([heartbeat(A, B, 10)]);
    await until(() => expect(atA.messages).toEqual([heartbeat(A, B, 10)]));
  });

  it('report that a member is gone as soon as it closes, and reconnect when it is back', async () => {
    const { a, b, atA, atB } = await connectedPair();
    const { port } = b;
    await b.stop();
    await until(() => expect(atA.gone).toEqual([B]));
    expect(a.transport.activeSince(B)).toBeUndefined();
    expect([...a.transport.counts()].map(({ disconnects }) => disconnects)).toEqual([1]);
    a.transport.send([heartbeat(B, A, 1)]);
    await until(() => expect(atA.unreachable).toContain(B));

    const again = await start({ id: B, handler: atB, port });
    again.transport.addPeer(A, [a.url]);
    await until(() => expect(a.transport.activeSince(B)).toBeDefined());
    a.transport.send([heartbeat(B, A, 2)]);
    await until(() => expect(atB.messages.at(-1)).toEqual(heartbeat(B, A, 2)));
  });

  it('try the next URL of a member if one does not work', async () => {
    const atA = new Recorder();
    const a = await start({ id: A, handler: atA });
    const b = await start({ id: B, handler: new Recorder() });
    b.transport.addPeer(A, [a.url]);
    a.transport.addPeer(B, ['http://127.0.0.1:1', b.url]);
    await until(() => expect(a.transport.activePeers()).toBe(1));
  });

  it('work over unix sockets', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'peers-'));
    const atB = new Recorder();
    const a = await start({ id: A, handler: new Recorder(), socketPath: join(folder, 'a') });
    const b = await start({ id: B, handler: atB, socketPath: join(folder, 'b') });
    a.transport.addPeer(B, [b.url]);
    b.transport.addPeer(A, [a.url]);
    await until(() => {
      for (const member of [a, b]) expect(member.transport.activePeers()).toBe(1);
    });
    a.transport.send([heartbeat(B, A, 7)]);
    await until(() => expect(atB.messages).toContainEqual(heartbeat(B, A, 7)));
    rmSync(folder, { recursive: true });
  });

  it('send a snapshot with its database', async () => {
    const { a, atA, atB } = await connectedPair();
    const chunk = Buffer.alloc(256 * 1024, 3);
    async function* chunks(): AsyncGenerator<Buffer> {
      for (let i = 0; i < 20; i += 1) yield await Promise.resolve(chunk);
    }
    a.transport.sendSnapshot(snapshotMessage(), { totalBytes: 20 * chunk.length, chunks: chunks() });
    await until(() => expect(atA.snapshotReports).toEqual([[B, true]]));
    expect(atB.snapshots).toHaveLength(1);
    expect(atB.snapshots[0]?.message).toEqual(snapshotMessage());
    expect(atB.snapshots[0]?.bytes.equals(Buffer.concat(Array.from({ length: 20 }, () => chunk)))).toBe(true);
    const [counts] = a.transport.counts();
    expect(counts).toMatchObject({ snapshotsSent: 1, snapshotsSending: 0, snapshotSendFailures: 0 });
  });

  it('report a snapshot that cannot be saved, and stop reading it', async () => {
    const { a, atA, atB } = await connectedPair();
    atB.snapshotFailure = new Error('no space');
    let closed = false;
    async function* endless(): AsyncGenerator<Buffer> {
      try {
        for (;;) yield await Promise.resolve(Buffer.alloc(100_000));
      } finally {
        closed = true;
      }
    }
    a.transport.sendSnapshot(snapshotMessage(), { totalBytes: 1e12, chunks: endless() });
    await until(() => expect(atA.snapshotReports).toEqual([[B, false]]));
    await until(() => expect(closed).toBe(true));
    expect(atA.unreachable).toContain(B);
  });

  it('fail a snapshot whose source fails', async () => {
    const { a, atA, atB } = await connectedPair();
    async function* broken(): AsyncGenerator<Buffer> {
      yield await Promise.resolve(Buffer.alloc(100_000));
      throw new Error('the disk is gone');
    }
    a.transport.sendSnapshot(snapshotMessage(), { totalBytes: 1_000_000, chunks: broken() });
    await until(() => expect(atA.snapshotReports).toEqual([[B, false]]));
    expect(atB.snapshots).toEqual([]);
  });

  it('report a snapshot for a member that is unknown or removed meanwhile', async () => {
    const { a, atA } = await connectedPair();
    let closed = 0;
    async function* endless(): AsyncGenerator<Buffer> {
      try {
        for (;;) yield await Promise.resolve(Buffer.alloc(100));
      } finally {
        closed += 1;
      }
    }
    a.transport.sendSnapshot({ ...snapshotMessage(), to: 99n }, { totalBytes: 1e12, chunks: endless() });
    await until(() => expect(atA.snapshotReports).toEqual([[99n, false]]));
    a.transport.sendSnapshot(snapshotMessage(), { totalBytes: 1e12, chunks: endless() });
    a.transport.removePeer(B);
    await until(() => expect(atA.snapshotReports.at(-1)).toEqual([B, false]));
    await until(() => expect(closed).toBe(2));
  });

  it('disconnect a removed member and notify it', async () => {
    const { a, b, atA, atB } = await connectedPair();
    atB.removedIds.add(A);
    b.transport.removePeer(A);
    await until(() => expect(atA.removed).toBeGreaterThan(0));
    expect(atB.gone).toEqual([]);
    a.transport.stop();
  });
});

describe('a transport', () => {
  it('refuses members of other clusters and of releases too old', async () => {
    const atA = new Recorder();
    const a = await start({ id: A, handler: atA });
    const stranger = await start({ id: B, handler: new Recorder(), clusterId: 0xc2n });
    const ancient = await start({ id: 0xc3n, handler: new Recorder(), serverVersion: '2.3.8' });
    const newer = await start({ id: 0xd4n, handler: new Recorder(), serverVersion: '3.8.0' });
    for (const member of [stranger, ancient, newer]) a.transport.addPeer(member.id, [member.url]);
    for (const member of [stranger, ancient, newer]) member.transport.addPeer(A, [a.url]);
    await until(() => expect(a.transport.activeSince(newer.id)).toBeDefined());
    stranger.transport.send([heartbeat(A, B, 1)]);
    ancient.transport.send([heartbeat(A, 0xc3n, 1)]);
    newer.transport.send([heartbeat(A, 0xd4n, 1)]);
    await until(() => expect(atA.messages).toEqual([heartbeat(A, 0xd4n, 1)]));
    expect(a.transport.activeSince(stranger.id)).toBeUndefined();
  });

  it.each([
    ['GET', '/raft', {}, 405, 'Method Not Allowed\n'],
    ['POST', '/raft', {}, 412, 'incompatible version\n'],
    ['POST', '/raft', { 'X-Etcd-Cluster-ID': 'c2' }, 412, 'cluster ID mismatch\n'],
    ['POST', '/raft', { 'X-Etcd-Cluster-ID': 'c1' }, 400, 'error unmarshalling raft message\n'],
    ['GET', '/raft/stream/message/zz', { 'X-Etcd-Cluster-ID': 'c1' }, 404, 'invalid from\n'],
    ['GET', '/raft/stream/other/b2', { 'X-Etcd-Cluster-ID': 'c1' }, 404, 'invalid path\n'],
    ['GET', '/raft/stream/msgapp/b3', { 'X-Etcd-Cluster-ID': 'c1' }, 404, 'error sender not found\n'],
    ['GET', '/raft/stream/msgapp/b2', { 'X-Etcd-Cluster-ID': 'c1' }, 412, 'to field mismatch\n'],
    ['GET', '/raft/stream/msgapp/dead', { 'X-Etcd-Cluster-ID': 'c1' }, 410, 'removed member\n'],
    ['GET', '/nothing', {}, 404, '404 page not found\n'],
  ])('answers %s %s with %o by %i', async (method, path, headers, status, text) => {
    const handler = new Recorder();
    handler.removedIds.add(0xdeadn);
    const a = await start({ id: A, handler });
    a.transport.addPeer(B, ['http://127.0.0.1:1']);
    const versions = { 'X-Server-Version': '3.7.1', 'X-Min-Cluster-Version': '3.0.0' };
    const known = 'X-Etcd-Cluster-ID' in headers ? versions : {};
    const body = method === 'POST' ? 'no message' : null;
    const response = await fetch(`${a.url}${path}`, { method, headers: { ...known, ...headers }, body });
    expect([response.status, await response.text()]).toEqual([status, text]);
  });
});
