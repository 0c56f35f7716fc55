import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { PutRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { Member } from '../harness/member.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';
import { residentBytes } from '../harness/processes.ts';

const running: { stop: () => Promise<void> | void }[] = [];

afterEach(async () => {
  for (const { stop } of running.splice(0).reverse()) await stop();
});

async function start(flags: readonly string[] = []): Promise<Member> {
  const member = await Member.start({ kind: 'keystead', flags });
  running.push({ stop: () => member.destroy() });
  return member;
}

interface Attacker {
  readonly socket: Socket;
  closed: boolean;
  received: string;
}

/** Opens a connection and sends only the given bytes. */
function attack(port: number, bytes: string): Promise<Attacker> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const attacker: Attacker = { socket, closed: false, received: '' };
    running.push({ stop: () => void socket.destroy() });
    socket.on('data', (data) => {
      attacker.received += data.toString('latin1');
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      attacker.closed = true;
      resolve(attacker);
    });
    socket.once('connect', () => {
      if (bytes !== '') socket.write(bytes, 'latin1');
      resolve(attacker);
    });
  });
}

async function serves(member: Member): Promise<void> {
  const client = new RpcClient(member.endpoint);
  const request = PutRequest.create({ key: Buffer.from('key'), value: Buffer.from('value') });
  const startedMs = performance.now();
  expect(await client.unary(KV.methods.put, request)).toHaveProperty('messages');
  expect(performance.now() - startedMs).toBeLessThan(3000);
  client.close();
}

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

describe('attacks on the client port', () => {
  it.each([
    ['say nothing', ''],
    ['send half a preface of HTTP/2', PREFACE.slice(0, 10)],
    ['send the head of a request and no end', 'GET /health HTTP/1.1\r\nHost: a\r\nX-Slow: '],
    ['announce a handshake of TLS', '\x16\x03\x01\x02\x00'],
  ])('a thousand clients that %s keep nobody else out, and are let go', async (_what, bytes) => {
    const member = await start();
    const before = residentBytes(member.pid);
    const attackers = await Promise.all(Array.from({ length: 1000 }, () => attack(member.clientPort, bytes)));
    await serves(member);
    await eventually('all of them let go', () => attackers.every(({ closed }) => closed), {
      timeoutMs: 60_000,
    });
    await serves(member);
    expect(residentBytes(member.pid) - before).toBeLessThan(200e6);
  });

  it('connections beyond the limit are closed at once, and those there are go on', async () => {
    const member = await start(['--keystead-max-connections=50']);
    const client = new RpcClient(member.endpoint);
    running.push({ stop: () => client.close() });
    const request = PutRequest.create({ key: Buffer.from('key'), value: Buffer.from('value') });
    expect(await client.unary(KV.methods.put, request)).toHaveProperty('messages');
    const attackers = await Promise.all(
      Array.from({ length: 200 }, () => attack(member.clientPort, PREFACE)),
    );
    await eventually('those beyond it closed', () => attackers.filter(({ closed }) => closed).length >= 150);
    expect(await client.unary(KV.methods.put, request)).toHaveProperty('messages');
    for (const { socket } of attackers) socket.destroy();
    await eventually('room again', async () => {
      const next = await attack(member.clientPort, PREFACE);
      await sleep(50);
      return !next.closed;
    });
  });

  it.each([
    [
      'both a length and chunks',
      'POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n',
    ],
    [
      'two lengths',
      'POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 7\r\n\r\n{}GET /',
    ],
    [
      'a header name with a blank before the colon',
      'GET /health HTTP/1.1\r\nHost: a\r\nContent-Length : 4\r\n\r\nGET ',
    ],
    ['a bare line feed in its head', 'GET /health HTTP/1.1\nHost: a\nContent-Length: 0\n\n'],
    [
      'a chunk size that is none',
      'POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n',
    ],
  ])(
    'a request with %s is refused, and nothing after it is answered',
    { timeout: 30_000 },
    async (_what, bytes) => {
      const member = await start();
      const attacker = await attack(member.clientPort, bytes);
      await eventually('the connection closed', () => attacker.closed, { timeoutMs: 20_000 });
      expect(attacker.received).not.toContain('"health":"true"');
      expect(attacker.received).not.toContain('HTTP/1.1 200');
    },
  );

  it('an upgrade to HTTP/2 in plain text is ignored', { timeout: 30_000 }, async () => {
    const member = await start();
    const attacker = await attack(
      member.clientPort,
      'GET /health HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n',
    );
    await eventually('an answer', () => attacker.received.length > 0);
    expect(attacker.received).not.toContain('101 Switching Protocols');
  });

  it(
    'a preface of HTTP/2 behind a request of HTTP/1 opens no second connection',
    { timeout: 30_000 },
    async () => {
      const member = await start();
      const attacker = await attack(member.clientPort, `GET /health HTTP/1.1\r\nHost: a\r\n\r\n${PREFACE}`);
      await eventually('the connection closed', () => attacker.closed, { timeoutMs: 20_000 });
      expect(attacker.received).not.toContain('\x00\x00\x00\x04');
    },
  );
});
