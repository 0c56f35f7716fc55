import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { RawClient } from './raw-client.ts';
import { SocketInput } from './socket-input.ts';
import { Turns } from './turns.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function socketPair(): Promise<{ client: Socket; server: Socket }> {
  const listener = createServer();
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  const accepted = once(listener, 'connection');
  const client = connect({ host: '127.0.0.1', port: typeof address === 'object' ? (address?.port ?? 0) : 0 });
  const [server] = (await accepted) as [Socket];
  closing.push(() => {
    client.destroy();
    server.destroy();
    listener.close();
  });
  return { client, server };
}

const FRAMES = 300_000;
const flood = Buffer.alloc(FRAMES * 9, RawClient.frame(0x42, 0, 0));

/** A clock by which each slice takes a millisecond, so that the result does not depend on the speed of the machine. */
function turnsOfCountedSlices(): Turns {
  let ms = 0;
  return new Turns(() => ++ms);
}

it('a limited number of frames of one connection is read in a turn, and all of them in the end', async () => {
  const { client, server } = await socketPair();
  const turns = turnsOfCountedSlices();
  let frames = 0;
  const perTurn = new Map<number, number>();
  const sink = {
    onFrame: (): void => {
      frames++;
      perTurn.set(turns.turn, (perTurn.get(turns.turn) ?? 0) + 1);
    },
  };
  const input = new SocketInput(server, sink, turns, (error) => {
    throw error;
  });
  server.on('data', (chunk: Buffer) => input.push(chunk));
  client.write(flood);
  while (frames < FRAMES) await new Promise(setImmediate);
  expect(frames).toBe(FRAMES);
  expect(Math.max(...perTurn.values())).toBeLessThan(1_500);
});

it('nothing is read while paused, and everything after a resume', async () => {
  const { client, server } = await socketPair();
  const turns = turnsOfCountedSlices();
  let frames = 0;
  const input: SocketInput = new SocketInput(
    server,
    {
      onFrame: () => {
        if (++frames === 1_000) input.hold();
      },
    },
    turns,
    (error) => {
      throw error;
    },
  );
  server.on('data', (chunk: Buffer) => input.push(chunk));
  client.write(flood);
  while (frames < 1_000) await new Promise(setImmediate);
  const read = frames;
  await new Promise((resolve) => setTimeout(resolve, 50));
  // The current slice was read to its end.
  expect(frames).toBeLessThan(read + 512);
  input.release();
  while (frames < FRAMES) await new Promise(setImmediate);
});
