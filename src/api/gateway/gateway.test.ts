import { createServer, type IncomingHttpHeaders, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { SeededRandom } from '../../lib/seeded-random.ts';
import {
  LeaseKeepAliveRequest,
  LeaseKeepAliveResponse,
  SnapshotResponse,
  StatusResponse,
} from '../../wire/gen/etcdserverpb.ts';
import { Lease, Maintenance } from '../../wire/services.ts';
import * as services from '../../wire/services.ts';
import type { ServiceDescriptor } from '../../wire/codec.ts';
import { registerKv } from '../kv.ts';
import { serveUpgrades } from '../http/upgrades.ts';
import { ApiServer } from '../testing/api-server.ts';
import { Gateway } from './gateway.ts';
import { JsonTooLongError, JsonSplitter } from './json-splitter.ts';

let api: ApiServer;
let http: Server;
let port: number;
const cancelled: string[] = [];
let written = 0;

beforeAll(async () => {
  api = await ApiServer.start({
    flags: ['--bcrypt-cost=4', '--keystead-max-held-bytes=8388608'],
    register(context) {
      registerKv(context);
      registerTestStreams(context.server);
    },
  });
  const gateway = new Gateway({
    server: api.grpc,
    maxReceiveBytes: 2 ** 21,
    certificatesNameUsers: () => api.member.auth.isEnabled,
  });
  http = createServer((request, response) => gateway.handle(request, response));
  serveUpgrades(http, gateway, { corsOrigins: [], hostWhitelist: [] });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  port = (http.address() as AddressInfo).port;
});

afterAll(async () => {
  http.closeAllConnections();
  http.close();
  await api.stop();
});

/** Stream methods that record each step. The real services are tested elsewhere. */
function registerTestStreams(server: ApiServer['grpc']): void {
  server.stream(Lease.methods.leaseKeepAlive, (call) => {
    call.onMessage = (bytes) => {
      const { id } = LeaseKeepAliveRequest.decode(bytes);
      if (id === 13n) call.end(16, 'etcdserver: invalid auth token');
      else call.write(LeaseKeepAliveResponse.encode(LeaseKeepAliveResponse.create({ id })));
    };
    call.onHalfClose = () => call.end();
    call.onCancel = (reason) => cancelled.push(`keepalive ${reason}`);
  });
  server.stream(Maintenance.methods.snapshot, (call) => {
    let left = 100;
    const chunk = SnapshotResponse.encode(SnapshotResponse.create({ blob: Buffer.alloc(100_000, 'x') }));
    const goOn = (): void => {
      while (left > 0) {
        left--;
        written++;
        if (!call.write(chunk)) return;
      }
      call.end();
    };
    call.onWritable = goOn;
    call.onMessage = goOn;
    call.onCancel = (reason) => cancelled.push(`snapshot ${reason}`);
  });
  server.unary(Maintenance.methods.status, (call) => {
    const total = StatusResponse.encode(StatusResponse.create({ version: 'v'.repeat(1000) }));
    let at = 0;
    call.respondStream(total.length, {
      read: () => {
        const part = total.subarray(at, at + 100);
        at += 100;
        if (at % 300 !== 0) return [part];
        setImmediate(() => call.sourceReady());
        at -= 100;
        at += part.length;
        return [part];
      },
    });
  });
  server.unary(Maintenance.methods.hash, (call) => {
    call.onCancel = (reason) => cancelled.push(`hash ${reason}`);
  });
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingHttpHeaders;
}

function ask(
  path: string,
  body = '',
  options: { method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { agent: false, host: '127.0.0.1', port, path, method: 'POST', ...options },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: text, headers: response.headers }),
        );
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

const text = async (
  path: string,
  body?: string,
  headers: Record<string, string> = {},
): Promise<[number, string]> => {
  const answer = await ask(path, body, { headers });
  return [answer.status, answer.body.replace(/"header":\{[^}]*\},?/, '')];
};

it('requests and responses as JSON', async () => {
  expect(await text('/v3/kv/put', '{"key":"Zm9v","value":"YmFy"}')).toEqual([200, '{}']);
  const found =
    '{"kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1","value":"YmFy"}],"count":"1"}';
  expect(await text('/v3/kv/range', '{"key":"Zm9v"}')).toEqual([200, found]);
  expect(await text('/v3/kv/range?limit=1', '{"key":"Zm9v"} x')).toEqual([200, found]);
  const { headers } = await ask('/v3/kv/range', '{"key":"Zm9v"}');
  expect(headers['content-type']).toBe('application/json');
  expect(headers['grpc-metadata-content-type']).toBe('application/grpc');
  expect(headers['content-length']).toBeDefined();
  expect((await text('/v3/maintenance/status'))[1]).toBe(`{"version":"${'v'.repeat(1000)}"}`);
});

/** The answers of etcd 3.7.1. */
it('errors', async () => {
  expect(await text('/v3/kv/range', '')).toEqual([
    400,
    '{"code":3,"message":"etcdserver: key is not provided"}',
  ]);
  expect(await text('/v3/kv/range', '{"key":5}')).toEqual([
    400,
    '{"code":3,"message":"proto: (line 1:8): invalid value for bytes field key: 5"}',
  ]);
  expect(await text('/v3/auth/authenticate', '{"name":"a"}')).toEqual([
    400,
    '{"code":9,"message":"etcdserver: authentication is not enabled"}',
  ]);
  expect(await text('/v3/kv/compaction', '{"revision":"99"}')).toEqual([
    400,
    '{"code":11,"message":"etcdserver: mvcc: required revision is a future revision"}',
  ]);
  expect(await text('/v3/kv/range/')).toEqual([404, '{"code":5,"message":"Not Found"}']);
  expect(await text('/v3/nope')).toEqual([404, '{"code":5,"message":"Not Found"}']);
  const notAllowed = await ask('/v3/kv/range', '', { method: 'GET' });
  expect([notAllowed.status, notAllowed.body]).toEqual([501, '{"code":12,"message":"Method Not Allowed"}']);
  expect(await text('/v3/kv/range', '{"key":"Zm9v"}', { 'grpc-timeout': 'x' })).toEqual([
    400,
    '{"code":3,"message":"invalid grpc-timeout: x"}',
  ]);
  expect(await text('/v3/maintenance/hash', '{}', { 'grpc-timeout': '10m' })).toEqual([
    504,
    '{"code":4,"message":"context deadline exceeded"}',
  ]);
  const long = await text('/v3/kv/put', `{"key":"YQ==","value":"${'A'.repeat(6_000_000)}"}`).catch(
    () => 'cut off',
  );
  expect(['cut off', 429]).toContain(Array.isArray(long) ? long[0] : long);
  expect(cancelled).toContain('hash deadline');
});

describe('streams', () => {
  it('of requests and of responses', async () => {
    const { status, body, headers } = await ask('/v3/lease/keepalive', '{"ID":"1"} {"ID":2}{"ID":"3"}');
    expect([status, body]).toEqual([
      200,
      '{"result":{"ID":"1"}}\n{"result":{"ID":"2"}}\n{"result":{"ID":"3"}}\n',
    ]);
    expect(headers['transfer-encoding']).toBe('chunked');
    expect(headers['grpc-metadata-content-type']).toBe('application/grpc');
    const none = await ask('/v3/lease/keepalive');
    expect([none.status, none.body, none.headers['content-type']]).toEqual([200, '', undefined]);
  });

  it('end with an error, at once or later', async () => {
    expect(await text('/v3/lease/keepalive', '{"ID":"13"}')).toEqual([
      401,
      '{"error":{"code":16,"message":"etcdserver: invalid auth token"}}\n',
    ]);
    expect(await text('/v3/lease/keepalive', '{"ID":"1"}{"ID":"13"}')).toEqual([
      200,
      '{"result":{"ID":"1"}}\n{"error":{"code":16,"message":"etcdserver: invalid auth token"}}\n',
    ]);
    expect(await text('/v3/lease/keepalive', '{"ID":x}')).toEqual([200, '']);
    expect(await text('/v3/maintenance/snapshot', '{"x":x}')).toEqual([
      400,
      '{"code":3,"message":"invalid character \'x\' looking for beginning of value"}',
    ]);
    expect(await text('/v3/lease/keepalive', '{"ID":"1"} {"ID":x}')).toEqual([
      200,
      '{"result":{"ID":"1"}}\n',
    ]);
  });

  it('continue while the request is open, and end with the client', async () => {
    cancelled.length = 0;
    const request = httpRequest({ host: '127.0.0.1', port, path: '/v3/lease/keepalive', method: 'POST' });
    request.on('error', () => undefined);
    const lines: string[] = [];
    const response = new Promise<void>((resolve) => {
      request.on('response', (answered) => {
        answered.on('error', () => undefined);
        answered.on('data', (chunk: Buffer) => {
          lines.push(chunk.toString());
          if (lines.length === 2) resolve();
          else request.write('":"8"}');
        });
      });
    });
    request.write('{"ID":"7"}{"ID');
    await response;
    expect(lines).toEqual(['{"result":{"ID":"7"}}\n', '{"result":{"ID":"8"}}\n']);
    request.destroy();
    await expect.poll(() => cancelled).toContain('keepalive reset');
  });

  it('wait for clients that read slowly', async () => {
    written = 0;
    const request = httpRequest({
      agent: false,
      host: '127.0.0.1',
      port,
      path: '/v3/maintenance/snapshot',
      method: 'POST',
    });
    const response = await new Promise<import('node:http').IncomingMessage>((resolve) => {
      request.on('response', resolve).end('{}');
    });
    response.pause();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(written).toBeLessThan(80);
    let bytes = 0;
    response.on('data', (chunk: Buffer) => (bytes += chunk.length)).resume();
    await new Promise((resolve) => response.on('end', resolve));
    expect(written).toBe(100);
    expect(bytes).toBeGreaterThan(13_000_000);
  });
});

it('a request that is too long ends a stream that already has responses', async () => {
  const request = httpRequest({
    agent: false,
    host: '127.0.0.1',
    port,
    path: '/v3/lease/keepalive',
    method: 'POST',
  });
  request.on('error', () => undefined);
  let lines = '';
  const cut = new Promise<void>((resolve) => {
    request.on('response', (answered) => {
      answered.on('error', () => undefined);
      answered.on('close', resolve);
      answered.on('data', (chunk: Buffer) => {
        lines += chunk.toString();
        if (lines.includes('"7"')) request.write(`{"ID":"${'1'.repeat(5_000_000)}`);
      });
    });
  });
  request.write('{"ID":"7"}');
  await cut;
  expect(lines).toBe(
    '{"result":{"ID":"7"}}\n{"error":{"code":8,"message":"the request is larger than the server takes"}}\n',
  );
});

it('incomplete WebSocket messages count as held memory', async () => {
  const sockets = Array.from({ length: 4 }, () => new WebSocket(`ws://127.0.0.1:${port}/v3/lease/keepalive`));
  const ended = sockets.map(
    (socket) =>
      new Promise<void>((resolve) => {
        socket.on('error', () => resolve());
        socket.on('close', () => resolve());
        socket.on('open', () => {
          for (let i = 0; i < 35; i++) socket.send(Buffer.alloc(100_000, ' '), { fin: false });
        });
      }),
  );
  await Promise.race(ended);
  expect((await text('/v3/lease/keepalive', '{"ID":"1"}'))[0]).toBe(200);
  for (const socket of sockets) socket.terminate();
});

/** The memory limit for all clients together is 8 MiB here. */
it('clients that hold too much memory with endless bodies are disconnected, others are served', async () => {
  const slowClients = Array.from({ length: 4 }, () => {
    const request = httpRequest({
      agent: false,
      host: '127.0.0.1',
      port,
      path: '/v3/kv/put',
      method: 'POST',
    });
    const ended = new Promise<void>((resolve) => {
      request.on('error', () => resolve());
      request.on('response', (response) => response.resume());
    });
    request.write(`{"key":"Zm9v","value":"${'A'.repeat(3_500_000)}`);
    return { request, ended };
  });
  await Promise.race(slowClients.map(({ ended }) => ended));
  expect((await text('/v3/kv/put', '{"key":"Zm9v","value":"YmFy"}'))[0]).toBe(200);
  for (const { request } of slowClients) request.destroy();
});

it('tokens, in either header', async () => {
  await ask('/v3/auth/user/add', '{"name":"root","password":"r"}');
  await ask('/v3/auth/role/add', '{"name":"root"}');
  await ask('/v3/auth/user/grant', '{"user":"root","role":"root"}');
  expect(await text('/v3/auth/enable', '{}')).toEqual([200, '{}']);
  const [, login] = await text('/v3/auth/authenticate', '{"name":"root","password":"r"}');
  const { token } = JSON.parse(login) as { token: string };
  const range = async (headers: Record<string, string>): Promise<number> =>
    (await text('/v3/kv/range', '{"key":"Zm9v"}', headers))[0];
  expect(await range({ authorization: token })).toBe(200);
  expect(await range({ authorization: `Bearer ${token}` })).toBe(200);
  expect(await range({ 'grpc-metadata-token': token })).toBe(200);
  expect(await text('/v3/kv/range', '{"key":"Zm9v"}')).toEqual([
    400,
    '{"code":3,"message":"etcdserver: user name is empty"}',
  ]);
  const bad = await ask('/v3/kv/range', '{"key":"Zm9v"}', { headers: { authorization: 'bad' } });
  expect([bad.status, bad.body, bad.headers['www-authenticate']]).toEqual([
    401,
    '{"code":16,"message":"etcdserver: invalid auth token"}',
    'etcdserver: invalid auth token',
  ]);
  await ask('/v3/auth/disable', '{}', { headers: { authorization: token } });
});

it('every route reaches its method', async () => {
  const gateway = Object.values<ServiceDescriptor>(services).flatMap(({ methods }) =>
    Object.values(methods).flatMap(({ routes }) => [...routes]),
  );
  expect(gateway.length).toBeGreaterThan(50);
  for (const route of gateway) expect((await ask(route, '', { method: 'GET' })).status, route).toBe(501);
});

describe('values split from a stream', () => {
  const cut = (chunks: readonly string[]): string[] => {
    const values = new JsonSplitter(1000);
    const found = chunks.flatMap((chunk) => values.push(Buffer.from(chunk)));
    const rest = values.rest();
    return [...found, ...(rest === undefined ? [] : [rest])].map((value) => value.toString().trim());
  };

  it('of all JSON types', () => {
    expect(cut(['{"a":{}} [1,[2]] "x" 5 null '])).toEqual(['{"a":{}}', '[1,[2]]', '"x"', '5', 'null']);
    expect(cut(['5{}', '7'])).toEqual(['5', '{}', '7']);
    expect(cut(['{"a":"}{\\"}"}', ' ', '{"b'])).toEqual(['{"a":"}{\\"}"}', '{"b']);
    expect(cut(['} x'])).toEqual(['}', 'x']);
    expect(cut([' \n '])).toEqual([]);
  });

  it('with any chunk boundaries', () => {
    const random = new SeededRandom(3);
    const stream = '{"a":"\\\\","b":[{"c":"\\""}]}{"x":"{"}  {"k":"é"}';
    const whole = cut([stream]);
    expect(whole).toHaveLength(3);
    for (let round = 0; round < 200; round++) {
      const chunks: string[] = [];
      for (let at = 0; at < stream.length;) {
        const size = 1 + random.int(7);
        chunks.push(stream.slice(at, at + size));
        at += size;
      }
      expect(cut(chunks)).toEqual(whole);
    }
  });

  it('byte by byte', () => {
    const values = new JsonSplitter(1_000_000);
    const value = Buffer.from(`{"a":"${'x'.repeat(300_000)}"}`);
    const found: Buffer[] = [];
    for (let at = 0; at < value.length; at++) {
      found.push(...values.push(value.subarray(at, at + 1)));
      if (at === 200_000) expect(values.pendingBytes).toBe(200_001);
    }
    expect(found).toHaveLength(1);
    expect(found[0]?.equals(value)).toBe(true);
    expect(values.pendingBytes).toBe(0);
  });

  it('up to the size limit', () => {
    const values = new JsonSplitter(10);
    expect(() => values.push(Buffer.from('{"aaaaaaaaaaaaa'))).toThrow(JsonTooLongError);
  });
});
