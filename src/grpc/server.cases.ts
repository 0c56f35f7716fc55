import { gzipSync } from 'node:zlib';
import { createServer } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { ErrorCode, FrameFlag, FrameType } from '../http2/constants.ts';
import { encodeStatic, type HeaderPair } from '../http2/hpack-encoder.ts';
import { RawClient } from '../http2/raw-client.ts';
import type { GrpcServerOptions } from './server.ts';
import { Status } from './status.ts';
import { collect, TestClient } from './test-client.ts';
import { SOURCE_BYTES, TestServer } from './test-server.ts';

/** The behaviour of a server towards its clients. It is the same if the sockets are in another thread than the methods. */
export function grpcServerCases(open: (options: Partial<GrpcServerOptions>) => Promise<TestServer>): void {
  const cleanups: (() => void)[] = [];
  afterEach(() => {
    for (const cleanup of cleanups.splice(0).reverse()) cleanup();
  });

  async function start(options: Partial<GrpcServerOptions> = {}): Promise<TestServer> {
    const server = await open(options);
    cleanups.push(() => server.close());
    return server;
  }

  function client(server: TestServer, options?: grpc.ClientOptions): TestClient {
    const made = new TestClient(server.target, undefined, options);
    cleanups.push(() => made.close());
    return made;
  }

  async function rawClient(server: TestServer): Promise<RawClient> {
    const made = await RawClient.open({ host: '127.0.0.1', port: server.port });
    cleanups.push(() => made.close());
    return made;
  }

  const END_BOTH = FrameFlag.END_HEADERS | FrameFlag.END_STREAM;

  describe('unary calls', () => {
    it('messages of all sizes near those of frames and windows are echoed', async () => {
      const c = client(await start());
      for (const size of [0, 1, 16_378, 16_379, 16_380, 65_530, 65_531, 200_000, 1024 * 1024]) {
        const message = Buffer.alloc(size, size & 0xff);
        const { message: reply } = await c.unary('/test.Test/Echo', message);
        expect(reply?.equals(message)).toBe(true);
      }
    });

    it('a response in parts', async () => {
      const { message } = await client(await start()).unary('/test.Test/Parts', 'abcdef');
      expect(message?.toString()).toBe('abcdef');
    });

    it('many calls at a time, with some large messages', async () => {
      const c = client(await start({ maxReceiveBytes: 4 * 1024 * 1024 }));
      const sizes = Array.from({ length: 200 }, (_, i) => (i % 10 === 0 ? 1_500_000 : i * 100));
      const results = await Promise.all(
        sizes.map((size) => c.unary('/test.Test/Echo', Buffer.alloc(size, 1))),
      );
      expect(results.map((r) => r.message?.length)).toEqual(sizes);
    });

    it('an error has code and message, also with non-ASCII text', async () => {
      const c = client(await start());
      for (const text of ['etcdserver: no leader', '100% größer\n', '鍵', '']) {
        expect(await c.unary('/test.Test/Fail', text)).toMatchObject({ code: 9, details: text });
      }
    });

    it('metadata, text and binary', async () => {
      const c = client(await start());
      const metadata = { hasleader: 'true', 'token-bin': Buffer.from([0, 255, 1]) };
      expect((await c.unary('/test.Test/Meta', 'hasleader', { metadata })).message?.toString()).toBe('true');
      expect((await c.unary('/test.Test/Meta', 'token-bin', { metadata })).message).toEqual(
        Buffer.from([0, 255, 1]),
      );
      expect((await c.unary('/test.Test/Meta', 'token', { metadata })).message?.toString()).toBe('absent');
    });

    it('unknown services and methods', async () => {
      const c = client(await start());
      expect(await c.unary('/test.Test/No')).toMatchObject({
        code: 12,
        details: 'unknown method No for service test.Test',
      });
      expect(await c.unary('/no.Such/No')).toMatchObject({ code: 12, details: 'unknown service no.Such' });
    });

    it('a request larger than the limit', async () => {
      const c = client(await start({ maxReceiveBytes: 1000 }));
      expect((await c.unary('/test.Test/Echo', Buffer.alloc(1000))).code).toBe(0);
      expect(await c.unary('/test.Test/Echo', Buffer.alloc(1001))).toMatchObject({
        code: Status.RESOURCE_EXHAUSTED,
        details: 'grpc: received message larger than max (1001 vs. 1000)',
      });
    });

    it.each([2 ** 31, 2 ** 32, 2 ** 32 + 5])(
      'a response of %d bytes is refused as by etcd, and the server continues',
      async (bytes) => {
        const server = await start();
        const c = client(server);
        expect(await c.unary('/test.Test/Big', `${bytes}`)).toMatchObject({
          code: Status.RESOURCE_EXHAUSTED,
          details: `grpc: trying to send message larger than max (${bytes} vs. 2147483647)`,
        });
        expect(server.pulled).toBe(0);
        expect((await c.unary('/test.Test/Echo', 'still here')).message?.toString()).toBe('still here');
      },
    );

    it('a deadline ends the call on both sides, and a later response is dropped', async () => {
      const server = await start();
      const raw = await rawClient(server);
      raw.request(1, '/test.Test/Hang', [['grpc-timeout', '50m']]);
      raw.message(1, 'x');
      await raw.ended(1);
      expect(raw.headers(1)).toMatchObject({
        'grpc-status': '4',
        'grpc-message': 'context deadline exceeded',
      });
      await expect.poll(() => server.events).toEqual(['cancel deadline']);
      server.hanging[0]!.respond(Buffer.from('late'));
      server.hanging[0]!.fail(1, 'late');
      raw.request(3, '/test.Test/Echo');
      raw.message(3, 'x');
      await raw.ended(3);
      expect(raw.of(FrameType.DATA, 1)).toHaveLength(0);
    });

    it('a reset and a lost connection cancel', async () => {
      const server = await start();
      const raw = await rawClient(server);
      raw.request(1, '/test.Test/Hang');
      raw.message(1, 'x');
      raw.request(3, '/test.Test/Hang');
      raw.message(3, 'x');
      await expect.poll(() => server.hanging.length).toBe(2);
      raw.rst(1);
      await expect.poll(() => server.events).toEqual(['cancel reset']);
      raw.close();
      await expect.poll(() => server.events).toEqual(['cancel reset', 'cancel reset']);
      expect(server.grpc.methodStats().find((s) => s.method === 'Hang')!.handled[Status.CANCELLED]).toBe(2);
    });

    it('a 200 MB response is produced only while the client reads', async () => {
      const server = await start();
      const raw = await rawClient(server);
      raw.request(1, '/test.Test/Big');
      raw.message(1, '200000000');
      await raw.until(() => raw.data(1).length === 65_535);
      expect(server.pulled).toBeLessThan(200_000 + server.readAheadBytes);
      const { message } = await client(server).unary('/test.Test/Big', '200000000');
      expect(message?.length).toBe(200_000_000);
      expect(message?.equals(Buffer.alloc(200_000_000, 'x'))).toBe(true);
    });

    it('counters', async () => {
      const server = await start();
      const c = client(server);
      await c.unary('/test.Test/Echo', 'abc');
      await c.unary('/test.Test/Fail', 'no');
      const stats = server.grpc.methodStats();
      expect(stats.find((s) => s.method === 'Echo')).toMatchObject({
        service: 'test.Test',
        type: 'unary',
        started: 1,
        messagesReceived: 1,
        messagesSent: 1,
      });
      expect(stats.find((s) => s.method === 'Echo')!.handled[0]).toBe(1);
      expect(stats.find((s) => s.method === 'Fail')!.handled[9]).toBe(1);
      expect(server.grpc.counters).toMatchObject({ messageBytesReceived: 5, messageBytesSent: 3 });
      expect(server.front.counters.socketBytesRead).toBeGreaterThan(100);
      expect(server.front.counters.socketBytesWritten).toBeGreaterThan(50);
    });
  });

  describe('streaming calls', () => {
    it('both ways', async () => {
      const call = client(await start()).bidi('/test.Test/EchoStream');
      const done = collect(call);
      const sent = Array.from({ length: 500 }, (_, i) => Buffer.alloc(i * 20, i & 0xff));
      for (const message of sent) call.write(message);
      call.end();
      const { code, messages } = await done;
      expect(code).toBe(0);
      expect(Buffer.concat(messages).equals(Buffer.concat(sent))).toBe(true);
      expect(messages).toHaveLength(500);
    });

    it('large messages in both directions do not enlarge the window permanently', async () => {
      const server = await start();
      const call = client(server).bidi('/test.Test/EchoStream');
      const done = collect(call);
      for (let i = 0; i < 50; i++) call.write(Buffer.alloc(1_000_000, i));
      call.end();
      const { messages } = await done;
      expect(messages.map((m) => m.length)).toEqual(new Array(50).fill(1_000_000));
    });

    // Serving threads began a message before the one before it was sent, so both were damaged.
    it('messages that are made as they are read, one after the other', async () => {
      const { code, messages } = await collect(
        client(await start()).serverStream('/test.Test/Sources', '20'),
      );
      expect(code).toBe(0);
      const expected = Array.from({ length: 20 }, (_, at) => [
        Buffer.alloc(SOURCE_BYTES, at + 1),
        Buffer.from([at + 1]),
      ]).flat();
      expect(messages.map((message) => message.length)).toEqual(expected.map((message) => message.length));
      expect(Buffer.concat(messages).equals(Buffer.concat(expected))).toBe(true);
    });

    it('a writer is blocked when the client does not read', async () => {
      const server = await start();
      const raw = await rawClient(server);
      raw.request(1, '/test.Test/Count');
      raw.message(1, '10000');
      await raw.until(() => raw.data(1).length === 65_535);
      await expect.poll(() => server.streams[0]!.queuedBytes).toBeGreaterThan(200_000);
      expect(server.streams[0]!.queuedBytes).toBeLessThan(300_000);
      const { messages, code } = await collect(client(server).serverStream('/test.Test/Count', '10000'));
      expect(code).toBe(0);
      expect(messages).toHaveLength(10_000);
      expect(messages.every((m, i) => m[999] === ((i + 1) & 0xff))).toBe(true);
    });

    it('pause stops messages and finally the client', async () => {
      const server = await start();
      const raw = await rawClient(server);
      raw.request(1, '/test.Test/EchoStream');
      await expect.poll(() => server.streams.length).toBe(1);
      const [call] = server.streams;
      call!.pause();
      raw.message(1, 'one', false);
      raw.message(1, 'two');
      raw.request(3, '/test.Test/Echo');
      raw.message(3, 'x');
      await raw.ended(3);
      expect(raw.data(1)).toHaveLength(0);
      call!.resume();
      await raw.ended(1);
      expect(raw.data(1).toString('latin1')).toBe('\0\0\0\0\x03one\0\0\0\0\x03two');
      expect(raw.headers(1)).toMatchObject({ 'grpc-status': '0' });
    });

    it('no message, and two, for a call with one', async () => {
      const raw = await rawClient(await start());
      raw.request(1, '/test.Test/Count', [], END_BOTH);
      await raw.ended(1);
      expect(raw.headers(1)).toMatchObject({
        'grpc-status': '13',
        'grpc-message': 'cardinality violation: received no request message from non-client-streaming RPC',
      });
      raw.request(3, '/test.Test/Count');
      raw.message(3, '1', false);
      raw.message(3, '1');
      await raw.ended(3);
      expect(raw.headers(3)['grpc-message']).toContain('multiple request messages');
    });

    it('cancel by the client', async () => {
      const server = await start();
      const call = client(server).serverStream('/test.Test/Count', '1000000000');
      const done = collect(call);
      await expect.poll(() => server.streams.length).toBe(1);
      call.cancel();
      expect((await done).code).toBe(Status.CANCELLED);
      await expect.poll(() => server.events).toEqual(['cancel reset']);
      await expect.poll(() => server.streams[0]!.queuedBytes).toBe(0);
    });
  });

  it('a message of a stream that is too large to send ends the stream', async () => {
    const server = await start();
    const collected = collect(client(server).bidi('/test.Test/EchoStream'));
    await expect.poll(() => server.streams.length).toBe(1);
    const part = Buffer.alloc(2 ** 26);
    server.streams[0]!.write(Array.from({ length: 2 ** 6 }, () => part));
    expect(await collected).toMatchObject({
      code: Status.RESOURCE_EXHAUSTED,
      details: 'grpc: trying to send message larger than max (4294967296 vs. 2147483647)',
    });
    await expect.poll(() => server.events).toEqual(['cancel fault']);
  });

  describe('compression', () => {
    it('gzip both ways if the client compresses', async () => {
      const server = await start();
      const c = client(server, { 'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip });
      const message = Buffer.alloc(100_000, 'a');
      expect((await c.unary('/test.Test/Echo', message)).message).toEqual(message);
      expect(server.front.counters.socketBytesRead).toBeLessThan(10_000);
      expect(server.front.counters.socketBytesWritten).toBeLessThan(10_000);
      const call = c.bidi('/test.Test/EchoStream');
      const done = collect(call);
      const sent = Array.from({ length: 50 }, (_, i) => Buffer.alloc((i * 7919) % 5000, i));
      for (const each of sent) call.write(each);
      call.end();
      expect((await done).messages).toEqual(sent);
    });

    it('a small message that expands beyond the limit is refused', async () => {
      const raw = await rawClient(await start({ maxReceiveBytes: 100_000 }));
      const bomb = gzipSync(Buffer.alloc(50_000_000));
      const prefix = Buffer.from([1, 0, 0, 0, 0]);
      prefix.writeUInt32BE(bomb.length, 1);
      raw.request(1, '/test.Test/Echo', [['grpc-encoding', 'gzip']]);
      const bytes = Buffer.concat([prefix, bomb]);
      for (let at = 0; at < bytes.length; at += 16_000) {
        raw.send(FrameType.DATA, at + 16_000 >= bytes.length ? 1 : 0, 1, bytes.subarray(at, at + 16_000));
      }
      await raw.ended(1);
      expect(raw.headers(1)).toMatchObject({
        'grpc-status': '8',
        'grpc-message': 'grpc: received message after decompression larger than max 100000',
      });
    });

    it('unknown encodings and flags', async () => {
      const raw = await rawClient(await start());
      raw.request(1, '/test.Test/Echo', [['grpc-encoding', 'snappy']], END_BOTH);
      await raw.ended(1);
      expect(raw.headers(1)).toMatchObject({
        ':status': '200',
        'grpc-status': '12',
        'grpc-message': 'grpc: Decompressor is not installed for grpc-encoding "snappy"',
      });
      raw.request(3, '/test.Test/Echo');
      raw.send(FrameType.DATA, 1, 3, [1, 0, 0, 0, 1, 7]);
      await raw.ended(3);
      expect(raw.headers(3)['grpc-message']).toBe(
        'grpc: compressed flag set with identity or empty encoding',
      );
      raw.request(5, '/test.Test/Echo');
      raw.send(FrameType.DATA, 1, 5, [7, 0, 0, 0, 1, 7]);
      await raw.ended(5);
      expect(raw.headers(5)['grpc-message']).toBe('grpc: received unexpected payload format 7');
      raw.request(7, '/test.Test/Echo', [['grpc-encoding', 'gzip']]);
      raw.send(FrameType.DATA, 1, 7, [1, 0, 0, 0, 1, 7]);
      await raw.ended(7);
      expect(raw.headers(7)['grpc-status']).toBe('13');
    });
  });

  describe('requests that are refused', () => {
    const base: HeaderPair[] = [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', '/test.Test/Echo'],
      [':authority', 'localhost'],
    ];
    const grpcType: HeaderPair = ['content-type', 'application/grpc'];

    it.each<[string, HeaderPair[], Record<string, string>]>([
      [
        'no content type',
        base,
        { ':status': '415', 'grpc-status': '3', 'grpc-message': 'invalid gRPC request content-type ""' },
      ],
      ['JSON', [...base, ['content-type', 'application/json']], { ':status': '415' }],
      ['a longer type', [...base, ['content-type', 'application/grpcx']], { ':status': '415' }],
      [
        'GET',
        [[':method', 'GET'], ...base.slice(1), grpcType],
        {
          ':status': '405',
          'grpc-status': '13',
          'grpc-message': 'Received a HEADERS frame with :method "GET" which should be POST',
        },
      ],
      [
        'a bad timeout',
        [...base, grpcType, ['grpc-timeout', '5x']],
        {
          ':status': '400',
          'grpc-status': '13',
          'grpc-message': 'malformed grpc-timeout: transport: timeout unit is not recognized: "5x"',
        },
      ],
      ['bad binary metadata', [...base, grpcType, ['a-bin', '!']], { ':status': '400', 'grpc-status': '13' }],
      [
        'a path without slashes',
        [...base.slice(0, 2), [':path', 'Echo'], grpcType],
        {
          ':status': '200',
          'grpc-status': '12',
          'grpc-message': 'malformed method name: "Echo"',
        },
      ],
      ['no message', [...base, grpcType], { 'grpc-status': '2', 'grpc-message': 'EOF' }],
      [
        'no path',
        [...base.slice(0, 2), grpcType],
        { ':status': '200', 'grpc-status': '12', 'grpc-message': 'malformed method name: ""' },
      ],
      ['no method', [...base.slice(1), grpcType], { ':status': '405', 'grpc-status': '13' }],
    ])('%s', async (_, headers, expected) => {
      const raw = await rawClient(await start());
      raw.send(FrameType.HEADERS, END_BOTH, 1, encodeStatic(headers));
      await raw.ended(1);
      expect(raw.headers(1)).toMatchObject(expected);
    });

    it('a content type with a suffix is served and echoed', async () => {
      const raw = await rawClient(await start());
      raw.send(
        FrameType.HEADERS,
        FrameFlag.END_HEADERS,
        1,
        encodeStatic([...base, ['content-type', 'application/grpc+proto']]),
      );
      raw.message(1, 'abc');
      await raw.ended(1);
      expect(raw.headers(1)).toMatchObject({ 'content-type': 'application/grpc+proto', 'grpc-status': '0' });
      expect(raw.data(1).subarray(5).toString()).toBe('abc');
    });

    it.each<[string, HeaderPair[]]>([
      ['no scheme', base.filter(([name]) => name !== ':scheme')],
      ['an odd te', [...base, ['te', 'gzip']]],
    ])('a gRPC request with %s is served, another one is malformed', async (_, headers) => {
      const raw = await rawClient(await start());
      raw.send(FrameType.HEADERS, FrameFlag.END_HEADERS, 1, encodeStatic([...headers, grpcType]));
      raw.message(1, 'abc');
      raw.send(FrameType.HEADERS, END_BOTH, 3, encodeStatic(headers));
      await raw.ended(1);
      await raw.ended(3);
      expect(raw.headers(1)).toMatchObject({ 'grpc-status': '0' });
      expect(raw.resetCode(3)).toBe(ErrorCode.PROTOCOL_ERROR);
    });

    it.each([3, 100_000])('a call is answered when its message of %i bytes has arrived', async (bytes) => {
      const raw = await rawClient(await start());
      const message = Buffer.alloc(bytes, 'm');
      raw.request(1, '/test.Test/Echo');
      const framed = Buffer.concat([Buffer.alloc(5), message]);
      framed.writeUInt32BE(bytes, 1);
      for (let at = 0; at < framed.length; at += 16_000)
        raw.send(FrameType.DATA, 0, 1, framed.subarray(at, at + 16_000));
      raw.windowUpdate(0, 1 << 20);
      raw.windowUpdate(1, 1 << 20);
      await raw.until(() => raw.resetCode(1) !== undefined);
      expect(raw.headers(1)).toMatchObject({ ':status': '200', 'grpc-status': '0' });
      expect(raw.data(1).subarray(5).equals(message)).toBe(true);
      // The client learns that nobody reads the rest of its request.
      expect(raw.resetCode(1)).toBe(ErrorCode.NO_ERROR);
      // What it had sent by then is no fault.
      raw.send(FrameType.DATA, FrameFlag.END_STREAM, 1);
      raw.request(3, '/test.Test/Echo');
      raw.message(3, 'next');
      await raw.ended(3);
      expect(raw.headers(3)).toMatchObject({ 'grpc-status': '0' });
    });

    it('an end of the stream right behind the message is waited for', async () => {
      const raw = await rawClient(await start());
      raw.socket.cork();
      raw.request(1, '/test.Test/Echo');
      raw.message(1, 'abc', false);
      raw.send(FrameType.DATA, FrameFlag.END_STREAM, 1);
      raw.socket.uncork();
      await raw.ended(1);
      expect(raw.headers(1)).toMatchObject({ 'grpc-status': '0' });
      expect(raw.resetCode(1)).toBeUndefined();
    });

    it('an incomplete message', async () => {
      const raw = await rawClient(await start());
      raw.request(1, '/test.Test/Echo');
      raw.send(FrameType.DATA, 1, 1, [0, 0, 0, 0, 9, 1]);
      await raw.ended(1);
      expect(raw.headers(1)).toMatchObject({ 'grpc-status': '2', 'grpc-message': 'unexpected EOF' });
    });

    it('a connection-specific header is malformed', async () => {
      const raw = await rawClient(await start());
      raw.request(1, '/test.Test/Echo', [['connection', 'close']]);
      await raw.ended(1);
      expect(raw.resetCode(1)).toBe(ErrorCode.PROTOCOL_ERROR);
    });
  });

  describe('memory for requests', () => {
    it('large messages get their window one after the other, within the budget of their connection', async () => {
      const server = await start({ maxReceiveBytes: 20_000_000 });
      const raw = await rawClient(server);
      for (const id of [1, 3, 5]) {
        raw.request(id, '/test.Test/Echo');
        raw.send(FrameType.DATA, 0, id, [0, 0x01, 0x00, 0x00, 0x00]);
      }
      await raw.until(() => raw.of(FrameType.WINDOW_UPDATE, 1).length === 1);
      raw.request(7, '/test.Test/Fail');
      raw.message(7, 'x');
      await raw.ended(7);
      // Each needs nearly 16 of 32 MiB: the third waits until one has ended.
      expect(raw.of(FrameType.WINDOW_UPDATE, 3)).toHaveLength(1);
      expect(raw.of(FrameType.WINDOW_UPDATE, 5)).toHaveLength(0);
      raw.rst(3);
      await raw.until(() => raw.of(FrameType.WINDOW_UPDATE, 5).length === 1);
    });
  });

  describe('listening', () => {
    it('HTTP/1.1 on the same port, whole or in pieces; an upgrade is just a header', async () => {
      const http1 = createServer((request, response) =>
        response.end(`${request.method ?? ''} ${request.url ?? ''}`),
      );
      const server = await start({ http1 });
      const get = await fetch(`http://${server.target}/version`, {
        headers: { 'x-upgrade': 'h2c' },
      });
      expect(await get.text()).toBe('GET /version');
      const raw = new RawClient({ host: '127.0.0.1', port: server.port });
      cleanups.push(() => raw.close());
      let answer = '';
      raw.socket.on('data', (chunk) => (answer += chunk.toString()));
      for (const piece of [
        'PO',
        'ST /x HTTP/1.',
        '1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n',
        'HTTP2-Settings: AAMAAABk\r\nContent-Length: 0\r\n\r\n',
      ]) {
        raw.socket.write(piece);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await expect.poll(() => answer).toContain('POST /x');
      expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    });

    it('the preface after a request is HTTP/1.1 data and does not change the protocol', async () => {
      const http1 = createServer((_request, response) => response.end('ok'));
      const server = await start({ http1 });
      const raw = new RawClient({ host: '127.0.0.1', port: server.port });
      cleanups.push(() => raw.close());
      let answer = '';
      raw.socket.on('data', (chunk) => (answer += chunk.toString('latin1')));
      raw.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      await expect.poll(() => raw.closed).toBe(true);
      expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(server.front.connectionCount).toBe(0);
    });

    it.each(['garbage\r\n', 'GET / HTTP/3.0\r\n', 'PRI * HTTP/2.0\r\n\r\nXX', `GET /${'x'.repeat(20_000)}`])(
      'any other protocol is closed without a response: %j',
      async (bytes) => {
        const http1 = createServer((_request, response) => response.end('ok'));
        const server = await start({ http1 });
        const raw = new RawClient({ host: '127.0.0.1', port: server.port });
        cleanups.push(() => raw.close());
        raw.socket.write(bytes);
        await raw.until(() => raw.closed);
        expect(raw.socket.bytesRead).toBe(0);
      },
    );

    it('a unix socket', async () => {
      const server = await start();
      const directory = mkdtempSync(join(tmpdir(), 'keystead-grpc-'));
      cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
      const path = join(directory, 'socket');
      await server.front.listen({ path });
      const c = new TestClient(`unix:${path}`);
      cleanups.push(() => c.close());
      expect((await c.unary('/test.Test/Echo', 'abc')).message?.toString()).toBe('abc');
      expect((await c.unary('/test.Test/Peer')).message?.toString()).toBe(' -');
    });

    it('an address in use is an error', async () => {
      const server = await start();
      await expect(server.front.listen({ host: '127.0.0.1', port: server.port })).rejects.toThrow(
        'EADDRINUSE',
      );
    });
  });

  describe('shutdown', () => {
    it('running calls end first, and new connections are refused', async () => {
      const server = await start();
      const c = client(server);
      const under = c.unary('/test.Test/Hang');
      await expect.poll(() => server.hanging.length).toBe(1);
      const stopped = server.front.shutdown(10_000);
      setTimeout(() => server.hanging[0]!.respond(Buffer.from('done')), 100);
      expect((await under).message?.toString()).toBe('done');
      await stopped;
      expect(server.front.connectionCount).toBe(0);
      expect((await c.unary('/test.Test/Echo', '', { deadline: Date.now() + 1000 })).code).toBe(
        Status.UNAVAILABLE,
      );
    });

    it('calls that do not end are canceled after the grace time', async () => {
      const server = await start();
      const under = client(server).unary('/test.Test/Hang');
      await expect.poll(() => server.hanging.length).toBe(1);
      await server.front.shutdown(50);
      expect((await under).code).toBe(Status.UNAVAILABLE);
      await expect.poll(() => server.events).toEqual(['cancel reset']);
    });
  });
}
