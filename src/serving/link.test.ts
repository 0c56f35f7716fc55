import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { afterEach, expect, it } from 'vitest';
import { HeldBytes } from '../http2/held-bytes.ts';
import { Link } from './link.ts';

const ports: MessagePort[] = [];
afterEach(() => {
  for (const port of ports.splice(0)) port.close();
});

interface Received {
  kind: number;
  id: number;
  bytes: Buffer;
}

/** Two ends of a channel. The second end keeps what it reads. */
function pair(): { near: Link; far: Link; received: Received[]; controls: unknown[] } {
  const { port1, port2 } = new MessageChannel();
  ports.push(port1, port2);
  const received: Received[] = [];
  const controls: unknown[] = [];
  const near = new Link({
    port: port1,
    onRecord: (_kind, _id, reader) => void reader.bytes(),
    onControl: () => undefined,
  });
  const far = new Link({
    port: port2,
    onRecord: (kind, id, reader) => received.push({ kind, id, bytes: reader.bytes() }),
    onControl: (message) => controls.push(message),
  });
  return { near, far, received, controls };
}

it('records arrive whole and in order, before a control message that follows them', async () => {
  const { near, received, controls } = pair();
  for (let id = 0; id < 1000; id++) {
    const bytes = Buffer.alloc((id * 7919) % 3000, id & 0xff);
    near.record(3, id).bytes([bytes.subarray(0, 5), bytes.subarray(5)], bytes.length);
  }
  near.control('after');
  await expect.poll(() => controls).toEqual(['after']);
  expect(received).toHaveLength(1000);
  for (const [at, { kind, id, bytes }] of received.entries()) {
    expect([kind, id]).toEqual([3, at]);
    expect(bytes.equals(Buffer.alloc((at * 7919) % 3000, at & 0xff))).toBe(true);
  }
});

it('bytes count as held until the other end has read them', async () => {
  const { near, far, received } = pair();
  const held = new HeldBytes(1e9);
  const account = held.account();
  const large = Buffer.alloc(100_000);
  for (let id = 0; id < 10; id++) {
    near.record(3, id).bytes(large, large.length);
    near.hold(account, large.length);
  }
  expect(held.total).toBe(1_000_000);
  // The other end confirms large batches by itself, and the last small one with its next records.
  await expect.poll(() => received.length).toBe(10);
  far.record(4, 1).bytes(Buffer.alloc(0), 0);
  await expect.poll(() => held.total).toBe(0);
});

it('two idle ends do not confirm for ever', async () => {
  const { near, far, received } = pair();
  const sent = { near: 0, far: 0 };
  near.record(3, 1).bytes(Buffer.alloc(300_000), 300_000);
  await expect.poll(() => received.length).toBe(1);
  const [first, second] = ports as [MessagePort, MessagePort];
  first.on('message', () => sent.far++);
  second.on('message', () => sent.near++);
  far.flush();
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(sent.near + sent.far).toBeLessThan(3);
});

it('a record that can wait leaves with the next batch, or soon by itself', async () => {
  const { near, received } = pair();
  const before = near.batches;
  near.lateRecord(1, 1).bytes([], 0);
  near.record(2, 2).bytes([], 0);
  near.lateRecord(3, 3).bytes([], 0);
  await expect.poll(() => received.map(({ id }) => id)).toEqual([1, 2, 3]);
  expect(near.batches).toBe(before + 1);
  near.lateRecord(4, 4).bytes([], 0);
  await expect.poll(() => received.map(({ id }) => id)).toEqual([1, 2, 3, 4]);
});
