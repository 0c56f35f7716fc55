/**
 * A client that floods a server, in a process of its own: `flooder.ts KIND PORT CONNECTIONS SECONDS`. It ends with a
 * line of JSON that says how many frames the server took and on how many connections.
 */
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { RangeRequest } from '../../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../../src/wire/services.ts';
import { framed } from '../../harness/grpc-frame.ts';
import { hello, rounds, type Round } from './frames.ts';

const [kind = '', port = '', connections = '', seconds = ''] = process.argv.slice(2);
/** Type, flags and stream of a GOAWAY frame. */
const GOAWAY = Buffer.from([7, 0, 0, 0, 0, 0]);
const counts = { frames: 0, connections: 0 };
const endMs = performance.now() + Number(seconds) * 1000;

function open(): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port: Number(port) });
    socket.once('connect', () => {
      counts.connections++;
      resolve(socket);
    });
    socket.on('error', () => resolve(undefined));
    socket.resume();
  });
}

/**
 * Frames that the server took of `sent` ones. What it never read is not counted: it acknowledges each ping and each
 * settings, and says with GOAWAY what the last stream was.
 */
function takenBy({ bytes, tail }: Received, round: Round, sent: number): number {
  if (round.bytesOfAck > 0) return Math.floor(bytes / round.bytesOfAck);
  const at = tail.indexOf(GOAWAY);
  if (at < 0 || tail.length < at + 10) return sent;
  const lastId = tail.readUInt32BE(at + GOAWAY.length) & 0x7fffffff;
  return Math.min(sent, Math.floor((lastId / 2) * (round.framesARound / round.streamsARound)));
}

/** What came from the server on one connection: how much, and how it ended. */
class Received {
  bytes = 0;
  tail = Buffer.alloc(0);

  constructor(socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
      this.tail = Buffer.concat([this.tail, chunk]).subarray(-200);
    });
  }
}

function takenOrClosed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of ['drain', 'end', 'close']) socket.off(event, done);
      resolve();
    };
    for (const event of ['drain', 'end', 'close']) socket.on(event, done);
  });
}

/** One connection after another, each until the server has had enough of it. */
async function flood(round: Round): Promise<void> {
  while (performance.now() < endMs) {
    const socket = await open();
    if (socket === undefined) {
      await sleep(10);
      continue;
    }
    const received = new Received(socket);
    let sent = 0;
    socket.write(round.opening);
    let streams = 1;
    while (performance.now() < endMs && !socket.destroyed && !socket.readableEnded) {
      if (!socket.write(round.frames(2 * streams + 1))) await takenOrClosed(socket);
      // The end of the connection has to be seen.
      await nextTurn();
      sent += round.framesARound;
      streams += round.streamsARound;
      if (streams >= round.streamsAConnection) break;
    }
    counts.frames += takenBy(received, round, sent);
    socket.destroy();
  }
}

/** All connections are opened, left idle, and closed at once. */
async function closeTogether(count: number): Promise<void> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const opened = await Promise.all(Array.from({ length: 200 }, open));
    for (const socket of opened) {
      if (socket === undefined) continue;
      socket.write(hello);
      sockets.push(socket);
    }
  }
  await sleep(1_000);
  console.log('closing');
  for (const socket of sockets) socket.destroy();
  counts.frames = count;
  await sleep(Math.max(0, Number(seconds) * 1000));
}

/** Lists all keys below `list/` again and again, and discards what comes. */
async function list(): Promise<void> {
  const session = connectHttp2(`http://127.0.0.1:${port}`, {
    settings: { initialWindowSize: 16 << 20 },
  });
  await once(session, 'connect');
  session.setLocalWindowSize(16 << 20);
  counts.connections++;
  const range = RangeRequest.create({ key: Buffer.from('list/'), rangeEnd: Buffer.from('list0') });
  const request = framed(RangeRequest.encode(range));
  while (performance.now() < endMs) {
    const stream = session.request({
      ':method': 'POST',
      ':path': KV.methods.range.path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.end(request);
    stream.resume();
    await once(stream, 'close');
    counts.frames++;
  }
  session.destroy();
}

if (kind === 'lists') await Promise.all(Array.from({ length: Number(connections) }, list));
else if (kind === 'closing') await closeTogether(Number(connections));
else {
  const round = rounds[kind as keyof typeof rounds];
  await Promise.all(Array.from({ length: Number(connections) }, () => flood(round)));
}
console.log(JSON.stringify(counts));
process.exit(0);
