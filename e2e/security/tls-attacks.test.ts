import { createServer } from 'node:net';
import { connect, type ConnectionOptions } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Authority, type IssueOptions } from '../../src/tls/testing/authority.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { missingPeers } from '../harness/paths.ts';
import { eventually } from '../harness/wait.ts';
import { type Attacker, slowestPutDuring, TlsTarget } from './tls-target.ts';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const VERSION = 'GET /version HTTP/1.1\r\nHost: a\r\n\r\n';

describe('access over TLS', () => {
  let target: TlsTarget;
  const stranger = new Authority('stranger');

  beforeAll(async () => {
    target = await TlsTarget.start('tls-names', () => [
      ...['--client-cert-allowed-hostname=client.test', '--peer-cert-allowed-cn=member'],
    ]);
  });
  afterEach(() => target.release());
  afterAll(() => target.destroy());

  const cases: [string, 'client' | 'peer', IssueOptions, boolean][] = [
    ['the right name', 'client', { hosts: ['client.test'] }, true],
    ['a wrong name', 'client', { hosts: ['other.test'] }, false],
    ['the right name as common name alone', 'client', { commonName: 'client.test' }, false],
    ['a name below the right one', 'client', { hosts: ['a.client.test'] }, false],
    ['a certificate for servers alone', 'client', { hosts: ['client.test'], usage: 'server' }, false],
    ['an expired certificate', 'client', { hosts: ['client.test'], days: -1 }, false],
    ['the right name', 'peer', { commonName: 'member', hosts: ['127.0.0.1'] }, true],
    ['a wrong common name', 'peer', { commonName: 'client', hosts: ['127.0.0.1'] }, false],
    ['no common name', 'peer', { hosts: ['127.0.0.1', 'member'] }, false],
    ['the common name in other letters', 'peer', { commonName: 'Member', hosts: ['127.0.0.1'] }, false],
    ['the address of another machine', 'peer', { commonName: 'member', hosts: ['192.0.2.1'] }, false],
    ['the name of another machine', 'peer', { commonName: 'member', hosts: ['elsewhere.invalid'] }, false],
    ['a certificate for servers alone', 'peer', { commonName: 'member', usage: 'server' }, false],
    ['an expired certificate', 'peer', { commonName: 'member', days: -1 }, false],
  ];
  it.each(cases)('%s, on the %s port', async (_what, side, options, isLetIn) => {
    const port = side === 'client' ? target.clientPort : target.peerPort;
    expect(await target.answers(port, target.files.authority.issue(options))).toBe(isLetIn);
    if (isLetIn) expect(await target.answers(port, stranger.issue(options))).toBe(false);
  });

  it('a certificate can be revoked by the file while the server runs, on both ports', async () => {
    const certificate = target.files.authority.issue({
      commonName: 'member',
      hosts: ['client.test', '127.0.0.1'],
    });
    for (const port of [target.clientPort, target.peerPort])
      expect(await target.answers(port, certificate)).toBe(true);
    target.files.write('crl', target.files.authority.revoke(certificate));
    for (const port of [target.clientPort, target.peerPort])
      expect(await target.answers(port, certificate)).toBe(false);
  });

  const old: [string, ConnectionOptions][] = [
    ['TLS 1.0', { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' }],
    ['TLS 1.1', { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }],
    ['ciphers without encryption', { maxVersion: 'TLSv1.2', ciphers: 'NULL:@SECLEVEL=0' }],
    ['ciphers without authentication', { maxVersion: 'TLSv1.2', ciphers: 'aNULL:@SECLEVEL=0' }],
  ];
  it.each(old)('a downgrade to %s is refused', async (_what, options) => {
    for (const port of [target.clientPort, target.peerPort])
      expect(await target.answers(port, target.client, options)).toBe(false);
  });

  it('TLS 1.2 works, but renegotiation is refused', async () => {
    expect(await target.answers(target.clientPort, target.client, { maxVersion: 'TLSv1.2' })).toBe(true);
    const attacker = target.attack('', { maxVersion: 'TLSv1.2' });
    const { socket } = attacker;
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    const refusal = await new Promise((resolve) => {
      socket.once('close', () => resolve('closed'));
      socket.renegotiate({ rejectUnauthorized: false }, (error) =>
        resolve(error === null ? 'renegotiated' : 'refused'),
      );
    });
    expect(refusal).not.toBe('renegotiated');
  });

  it('a peer in plain text gets no response', async () => {
    for (const text of ['GET /members HTTP/1.1\r\nHost: a\r\n\r\n', `${PREFACE}\0\0\0\x04\0\0\0\0\0`]) {
      const attacker = target.plain(target.peerPort);
      attacker.socket.write(text, 'latin1');
      await eventually('the end', () => attacker.closed);
      // At most an alert of TLS.
      expect(attacker.received).toMatch(/^(\x15\x03[^]{5})?$/);
    }
  });

  it.skipIf(missingPeers('etcdctl') !== undefined)('etcdctl without TLS fails', async () => {
    const etcdctl = new Etcdctl(`http://127.0.0.1:${target.clientPort}`);
    const { code, stdout } = await etcdctl.run(['--dial-timeout=1s', '--command-timeout=1s', 'get', 'k']);
    expect([code, stdout]).toEqual([1, '']);
  });
});

describe('slow handshakes', () => {
  let target: TlsTarget;
  beforeAll(async () => {
    target = await TlsTarget.start('tls-slow', () => []);
  });
  afterAll(() => target.destroy());

  /** The first bytes that a client of TLS sends. */
  function clientHello(): Promise<Buffer> {
    return new Promise((resolve) => {
      const server = createServer((socket) => {
        socket.once('data', (hello: Buffer) => {
          socket.destroy();
          server.close();
          resolve(hello);
        });
      });
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        if (typeof address !== 'object' || address === null) return;
        connect({ host: '127.0.0.1', port: address.port, ALPNProtocols: ['h2'] }).on(
          'error',
          () => undefined,
        );
      });
    });
  }

  it('two thousand clients that never finish theirs keep nobody out, and are let go within the timeout', async () => {
    const hello = await clientHello();
    const first: [string, Buffer][] = [
      ['silent', Buffer.alloc(0)],
      ['half a hello', hello.subarray(0, hello.length / 2)],
      ['a hello, and silence', hello],
      ['an endless hello', Buffer.from('\x16\x03\x01\x40\x00\x01\xff\xff\xff\x03\x03', 'latin1')],
    ];
    const before = target.residentBytes;
    const attackers: Attacker[] = [];
    for (const port of [target.clientPort, target.peerPort]) {
      for (const [, bytes] of first) {
        for (let count = 0; count < 250; count++) {
          const attacker = target.plain(port);
          if (bytes.length > 0) attacker.socket.write(bytes);
          attackers.push(attacker);
        }
      }
    }
    // A client that sends byte by byte does not get more time.
    const drip = setInterval(() => {
      for (const { socket } of attackers) if (socket.writable && !socket.connecting) socket.write('\0');
    }, 1_000);
    const client = target.rpc();
    const gone = eventually('all of them let go', () => attackers.every(({ closed }) => closed), {
      timeoutMs: 60_000,
    });
    try {
      expect(await slowestPutDuring(client, gone)).toBeLessThan(3_000);
    } finally {
      clearInterval(drip);
      client.close();
    }
    const peer = target.files.authority.issue({ hosts: ['127.0.0.1'] });
    expect(await target.answers(target.peerPort, peer)).toBe(true);
    expect(target.residentBytes - before).toBeLessThan(200e6);
  });

  it('clients that are silent after the handshake are disconnected as well', async () => {
    const attackers: Attacker[] = [];
    for (let round = 0; round < 10; round++) {
      const some = Array.from({ length: 50 }, () =>
        target.attack(round % 2 === 0 ? '' : PREFACE.slice(0, 9)),
      );
      await Promise.all(
        some.map(({ socket }) => new Promise((resolve) => socket.once('secureConnect', resolve))),
      );
      attackers.push(...some);
    }
    const client = target.rpc();
    const gone = eventually('all of them let go', () => attackers.every(({ closed }) => closed), {
      timeoutMs: 60_000,
    });
    expect(await slowestPutDuring(client, gone)).toBeLessThan(3_000);
    client.close();
  });
});

describe('two protocols on one TLS port', () => {
  let target: TlsTarget;
  beforeAll(async () => {
    target = await TlsTarget.start('tls-protocols', () => []);
  });
  afterEach(() => target.release());
  afterAll(() => target.destroy());

  const SETTINGS = '\0\0\0\x04\0\0\0\0\0';
  const h2 = { ALPNProtocols: ['h2'] };
  const h1 = { ALPNProtocols: ['http/1.1'] };
  const ok = /HTTP\/1\.1 200/g;

  it('the protocol is chosen in the handshake, otherwise by the first bytes', async () => {
    expect(await target.answers(target.clientPort, target.client)).toBe(true);
    expect(await target.answers(target.clientPort, target.client, h1)).toBe(true);
    const spoken = target.attack(`${PREFACE}${SETTINGS}`, h2);
    await eventually('settings', () => spoken.received.slice(3, 4) === '\x04');
    const unnamed = target.attack(`${PREFACE}${SETTINGS}`);
    await eventually('settings', () => unnamed.received.slice(3, 4) === '\x04');
    const unknown = target.attack(VERSION, { ALPNProtocols: ['spdy/3'] });
    await eventually('the end', () => unknown.closed);
    expect(unknown.received).toBe('');
  });

  const closed: [string, string | Buffer, ConnectionOptions, number][] = [
    ['HTTP/1 where h2 was chosen', VERSION, h2, 0],
    ['HTTP/1 behind half a preface', `${PREFACE.slice(0, 16)}${VERSION}`, {}, 0],
    ['HTTP/1 behind a preface', `${PREFACE}${VERSION}`, h2, 0],
    ['a preface where http/1.1 was chosen', `${PREFACE}${SETTINGS}`, h1, 0],
    ['a preface behind a request', `${VERSION}${PREFACE}${SETTINGS}`, h1, 1],
    ['a preface behind a request, with nothing chosen', `${VERSION}${PREFACE}${SETTINGS}`, {}, 1],
    [
      'a preface behind a body',
      `POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nContent-Length: 14\r\n\r\n{"key":"Zm9v"}${PREFACE}${SETTINGS}`,
      {},
      1,
    ],
    [
      'a request hidden behind a body that has a length and chunks',
      `POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${VERSION}`,
      h1,
      0,
    ],
    [
      'chunks under another spelling',
      `POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${VERSION}`,
      {},
      0,
    ],
    [
      'chunks that are not the last encoding',
      `POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${VERSION}`,
      {},
      0,
    ],
    [
      'a folded header',
      `GET /version HTTP/1.1\r\nHost: a\r\nX: 1\r\n Content-Length: 5\r\n\r\n${VERSION}`,
      {},
      0,
    ],
    [
      'a carriage return alone in the head',
      `GET /version HTTP/1.1\r\nHost: a\rTransfer-Encoding: chunked\r\n\r\n${VERSION}`,
      {},
      0,
    ],
    [
      'a length below zero',
      `GET /version HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n${VERSION}`,
      {},
      0,
    ],
    [
      'a length with a sign',
      `GET /version HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n${VERSION}`,
      {},
      0,
    ],
    ['HTTP/2 by name in HTTP/1', 'GET /version HTTP/2.0\r\nHost: a\r\n\r\n', {}, 0],
  ];
  it.each(closed)('%s', { timeout: 40_000 }, async (_what, text, options, answers) => {
    const attacker = target.attack(Buffer.from(text as string, 'latin1'), options);
    await eventually('the end', () => attacker.closed, { timeoutMs: 30_000 });
    // What breaks off may take the answer to what came before it along.
    expect([...attacker.received.matchAll(ok)].length).toBeLessThanOrEqual(answers);
    if (!String(text).startsWith(PREFACE)) expect(attacker.received).not.toContain('\0');
    if (answers === 0) expect(attacker.received).not.toContain('etcdserver');
  });

  it('an upgrade to h2c after a body is ignored', async () => {
    const attacker = target.attack(
      `POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n` +
        `HTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 14\r\n\r\n{"key":"Zm9v"}${PREFACE}${SETTINGS}`,
    );
    await eventually('the end', () => attacker.closed, { timeoutMs: 20_000 });
    expect(attacker.received).not.toContain('101 Switching');
    expect(attacker.received).not.toContain('\0');
    expect([...attacker.received.matchAll(ok)].length).toBeLessThanOrEqual(1);
  });

  it('CONNECT is refused', async () => {
    const attacker = target.attack(
      `CONNECT 127.0.0.1:${target.peerPort} HTTP/1.1\r\nHost: a\r\n\r\n${VERSION}`,
    );
    await eventually('the end', () => attacker.closed, { timeoutMs: 20_000 });
    expect(attacker.received).not.toMatch(ok);
  });
});
