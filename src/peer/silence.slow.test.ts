import { createServer, type Server, Socket } from 'node:net';
import { afterEach, expect, it, vi } from 'vitest';
import { Message, MessageType } from '../wire/gen/raftpb.ts';
import { Recorder, TestMember } from './testing/test-member.ts';

const A = 0xa1n;
const B = 0xb2n;

/** Forwards connections to a port until it is cut. Then no bytes pass, but no connection is closed. */
class Cable {
  isCut = false;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(target: number) {
    this.#server = createServer((from) => {
      if (this.isCut) {
        from.destroy();
        return;
      }
      const to = new Socket();
      to.connect(target, '127.0.0.1');
      this.#join(from, to);
      this.#join(to, from);
    });
  }

  static async to(target: number): Promise<{ cable: Cable; url: string }> {
    const cable = new Cable(target);
    await new Promise<void>((resolve) => cable.#server.listen(0, '127.0.0.1', resolve));
    const address = cable.#server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
    return { cable, url: `http://127.0.0.1:${address.port}` };
  }

  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on('data', (bytes: Buffer) => {
      if (!this.isCut) to.write(bytes);
    });
    from.on('close', () => {
      if (!this.isCut) to.destroy();
    });
    from.on('error', () => to.destroy());
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

const cleanups: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

it('silent connections are closed and opened again', async () => {
  const atA = new Recorder();
  const atB = new Recorder();
  const a = await TestMember.start({ id: A, handler: atA });
  const b = await TestMember.start({ id: B, handler: atB });
  const toA = await Cable.to(a.port);
  const toB = await Cable.to(b.port);
  cleanups.push(() => a.stop());
  cleanups.push(() => b.stop());
  cleanups.push(() => toA.cable.close());
  cleanups.push(() => toB.cable.close());
  a.transport.addPeer(B, [toB.url]);
  b.transport.addPeer(A, [toA.url]);
  const until = (condition: () => void): Promise<void> =>
    vi.waitFor(condition, { timeout: 15_000, interval: 10 });
  await until(() => expect(a.transport.activePeers() + b.transport.activePeers()).toBe(2));

  toA.cable.isCut = true;
  toB.cable.isCut = true;
  await until(() => expect([...a.transport.counts()][0]?.disconnects).toBe(1));
  // No connection was closed by the other side, so its process may still run.
  expect(atA.gone).toEqual([]);

  toA.cable.isCut = false;
  toB.cable.isCut = false;
  const message = Message.create({ type: MessageType.MsgHeartbeat, to: B, from: A, term: 1 });
  await until(() => {
    a.transport.send([message]);
    expect(atB.messages.at(-1)).toEqual(message);
    expect(a.transport.activePeers()).toBe(1);
  });
}, 40_000);
