import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { OutgoingSnapshot } from '../ports/peer-transport.ts';
import { Message, MessageType } from '../wire/gen/raftpb.ts';
import { SNAPSHOT_KEPT_HEADER } from './snapshot-parts.ts';
import { Recorder, TestMember } from './testing/test-member.ts';

const A = 0xa1n;
const B = 0xb2n;
const FILE = Buffer.from(Array.from({ length: 400_000 }, (_, at) => (at * 7) % 251));
const PIECE = 10_000;

const ending: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0)) await end();
});

function until(condition: () => void): Promise<void> {
  return vi.waitFor(condition, { timeout: 10_000, interval: 5 });
}

async function start(id: bigint, handler: Recorder): Promise<TestMember> {
  const member = await TestMember.start({ id, handler });
  ending.push(() => member.stop());
  return member;
}

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ending.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Forwards connections. The first one with this many bytes is then cut. */
class Cutter {
  #cutAfter: number;

  constructor(cutAfter: number) {
    this.#cutAfter = cutAfter;
  }

  to(port: number): Server {
    return createServer((near) => {
      const far = connect(port, '127.0.0.1');
      let bytes = 0;
      near.on('data', (chunk) => {
        bytes += chunk.length;
        far.write(chunk);
        if (bytes <= this.#cutAfter) return;
        this.#cutAfter = Infinity;
        near.destroy();
        far.end();
      });
      far.pipe(near);
      for (const [one, other] of [[near, far] as const, [far, near] as const]) {
        one.on('error', () => undefined);
        one.on('close', () => other.destroy());
      }
    });
  }
}

const message = (): Message =>
  Message.create({
    type: MessageType.MsgSnap,
    to: B,
    from: A,
    term: 2,
    snapshot: { data: undefined, metadata: { confState: undefined, index: 77, term: 2 } },
  });

async function* piecesFrom(offset: number): AsyncGenerator<Buffer> {
  for (let at = offset; at < FILE.length; at += PIECE) {
    yield FILE.subarray(at, at + PIECE);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function snapshot(isBroken: boolean, offsets: number[]): OutgoingSnapshot {
  const from = (offset: number): AsyncIterable<Buffer> => {
    offsets.push(offset);
    return piecesFrom(offset);
  };
  const resumption = { id: 'a-1', isBroken, from };
  return { totalBytes: FILE.length, chunks: piecesFrom(0), resumption };
}

describe('an interrupted snapshot transfer', () => {
  it('is resumed where it stopped', async () => {
    const [atA, atB] = [new Recorder(), new Recorder()];
    const a = await start(A, atA);
    const b = await start(B, atB);
    a.transport.addPeer(B, [await listening(new Cutter(FILE.length / 2).to(b.port))]);
    b.transport.addPeer(A, [a.url]);
    await until(() => expect(a.transport.activePeers()).toBe(1));
    const offsets: number[] = [];
    a.transport.sendSnapshot(message(), snapshot(false, offsets));
    await until(() => expect(atA.snapshotReports).toEqual([[B, false]]));
    expect(atB.snapshots).toEqual([]);
    a.transport.sendSnapshot(message(), snapshot(true, offsets));
    await until(() => expect(atA.snapshotReports.at(-1)).toEqual([B, true]));
    expect(offsets).toHaveLength(1);
    expect(offsets[0]).toBeGreaterThan(FILE.length / 4);
    expect(atB.snapshots[0]?.part).toEqual({ id: 'a-1', offset: offsets[0] });
    expect(atB.snapshots[0]?.bytes.equals(FILE)).toBe(true);
    expect(atB.snapshots[0]?.message).toEqual(message());
  });

  it('is sent from the start to a member that has nothing of it', async () => {
    const [atA, atB] = [new Recorder(), new Recorder()];
    const a = await start(A, atA);
    const b = await start(B, atB);
    a.transport.addPeer(B, [b.url]);
    b.transport.addPeer(A, [a.url]);
    await until(() => expect(a.transport.activePeers()).toBe(1));
    atB.kept = { id: 'another', bytes: Buffer.alloc(5000) };
    const offsets: number[] = [];
    a.transport.sendSnapshot(message(), snapshot(true, offsets));
    await until(() => expect(atA.snapshotReports).toEqual([[B, true]]));
    expect(offsets).toEqual([]);
    expect(atB.snapshots[0]?.part).toEqual({ id: 'a-1', offset: 0 });
    expect(atB.snapshots[0]?.bytes.equals(FILE)).toBe(true);
  });

  it('is sent from the start to a member that does not support parts, such as etcd', async () => {
    const posted: { range: string | undefined; bytes: number }[] = [];
    const etcd = createHttpServer((request, response) => {
      if (request.method !== 'POST') {
        response.writeHead(405).end('Method Not Allowed\n');
        return;
      }
      let bytes = 0;
      request.on('data', (chunk: Buffer) => (bytes += chunk.length));
      request.on('end', () => {
        posted.push({ range: request.headers['content-range'], bytes });
        response.writeHead(204).end();
      });
    });
    const atA = new Recorder();
    const a = await start(A, atA);
    a.transport.addPeer(B, [await listening(etcd)]);
    a.transport.sendSnapshot(message(), snapshot(true, []));
    await until(() => expect(atA.snapshotReports).toEqual([[B, true]]));
    expect(posted).toHaveLength(1);
    expect(posted[0]?.range).toBeUndefined();
    expect(posted[0]?.bytes).toBeGreaterThan(FILE.length);
  });

  it('is posted only when there is data to send, also if that takes long', async () => {
    const order: string[] = [];
    const receiver = createHttpServer((request, response) => {
      if (request.method === 'GET') {
        response.writeHead(204, { [SNAPSHOT_KEPT_HEADER]: FILE.length - PIECE }).end();
        return;
      }
      order.push('posted');
      request.resume().on('end', () => response.writeHead(204).end());
    });
    const atA = new Recorder();
    const a = await start(A, atA);
    a.transport.addPeer(B, [await listening(receiver)]);
    const from = async function* (offset: number): AsyncGenerator<Buffer> {
      // Enough time for a started request to arrive.
      await new Promise((resolve) => setTimeout(resolve, 200));
      order.push('found');
      yield FILE.subarray(offset);
    };
    const { totalBytes, chunks } = snapshot(true, []);
    a.transport.sendSnapshot(message(), {
      totalBytes,
      chunks,
      resumption: { id: 'a-1', isBroken: true, from },
    });
    await until(() => expect(atA.snapshotReports).toEqual([[B, true]]));
    expect(order).toEqual(['found', 'posted']);
  });

  it('ends the old transfer if its receiver still waits for it', async () => {
    const [atA, atB] = [new Recorder(), new Recorder()];
    const a = await start(A, atA);
    const b = await start(B, atB);
    // The data stops, and no connection is closed.
    const silent = createServer((near) => {
      const far = connect(b.port, '127.0.0.1');
      let bytes = 0;
      near.on('data', (chunk) => {
        bytes += chunk.length;
        if (bytes < FILE.length / 2) far.write(chunk);
        else if (bytes < FILE.length) near.destroy();
      });
      far.pipe(near);
      near.on('error', () => undefined);
      ending.push(() => far.destroy());
    });
    a.transport.addPeer(B, [await listening(silent)]);
    a.transport.sendSnapshot(message(), snapshot(false, []));
    await until(() => expect(atA.snapshotReports).toEqual([[B, false]]));
    expect(atB.kept).toBeUndefined();
    a.transport.removePeer(B);
    a.transport.addPeer(B, [b.url]);
    const offsets: number[] = [];
    a.transport.sendSnapshot(message(), snapshot(true, offsets));
    await until(() => expect(atA.snapshotReports.at(-1)).toEqual([B, true]));
    expect(offsets[0]).toBeGreaterThan(FILE.length / 4);
    expect(atB.snapshots[0]?.bytes.equals(FILE)).toBe(true);
  });
});
