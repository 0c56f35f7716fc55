import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { MethodDescriptor, ServiceDescriptor } from '../../src/wire/codec.ts';
import { decodeJson, encodeJson, JsonError } from '../../src/wire/json.ts';
import * as services from '../../src/wire/services.ts';
import { Member, serverUnderTest } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { type Answer as RpcAnswer, RpcClient } from '../harness/rpc-client.ts';
import { oddRequests, requests } from './gateway-requests.ts';
import { exchange, type HttpAsk } from './http-exchange.ts';
import { residentBytes } from '../harness/processes.ts';

const missing = missingPeers('etcd');
const base64 = (text: string): string => Buffer.from(text).toString('base64');

interface Answer {
  readonly status: number;
  readonly type: string | null;
  readonly body: unknown;
}

/** Ids of members, what time and size make of an answer, and what each server draws for itself. */
const OWN = new Set(['cluster_id', 'member_id', 'ID', 'leader', 'dbSize', 'dbSizeInUse', 'hash', 'token']);
const OWN_WHERE_PRESENT = new Set([
  'raftIndex',
  'raftAppliedIndex',
  'clientURLs',
  'peerURLs',
  'compact_hash',
  'TTL',
]);

function comparable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [
      name,
      OWN.has(name) || OWN_WHERE_PRESENT.has(name) ? 'its own' : comparable(field),
    ]),
  );
}

const methods = Object.values<ServiceDescriptor>(services).flatMap((service) =>
  Object.values(service.methods),
);
const routes = new Map(methods.flatMap((method) => method.routes.map((route) => [route, method] as const)));

/** The headers of a response that must agree. Lengths depend on the ids that each server chooses. */
async function agreed(member: Member, asked: HttpAsk): Promise<unknown> {
  const { status, headers, text } = await exchange(member.clientPort, asked);
  const length = headers['content-length'] === undefined ? {} : { 'content-length': 'given' };
  const body = text.split('\n').map((line) => {
    try {
      return comparable(JSON.parse(line));
    } catch {
      return line;
    }
  });
  return { status, headers: { ...headers, ...length }, body };
}

interface Conversation {
  readonly path: string;
  readonly send: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly protocols?: readonly string[];
  /** Lines after which the client goes; 0 where the server ends it. */
  readonly lines: number;
}

/** Lines, and how the WebSocket ended. */
function converse(member: Member, { path, send, headers = {}, protocols = [], lines }: Conversation) {
  return new Promise<unknown[]>((resolve) => {
    const seen: unknown[] = [];
    const socket = new WebSocket(`ws://${member.endpoint}${path}`, [...protocols], {
      headers,
      timeout: 20_000,
    });
    socket.on('open', () => {
      seen.push(`open ${socket.protocol}`);
      for (const text of send) socket.send(text);
    });
    socket.on('message', (data, isBinary) => {
      seen.push(isBinary, comparable(JSON.parse((data as Buffer).toString())));
      if (seen.length === 1 + 2 * lines) socket.terminate();
    });
    socket.on('error', (error) => seen.push(error.message));
    socket.on('close', (code) => resolve([...seen, code]));
  });
}

const conversations: readonly Conversation[] = [
  { path: '/v3/watch', send: ['{"create_request":{"key":"Zm9v"}}'], lines: 1 },
  {
    path: '/v3/watch',
    send: ['{"create_request":', '{"key":"Zm9v"}} {"create_request":{"key":"YQ=="}}'],
    lines: 2,
  },
  { path: '/v3beta/watch', send: ['{"create_request":{"key":"Zm9v"}}', 'x'], lines: 1 },
  { path: '/v3/lease/keepalive', send: ['{"ID":5}', '{"ID":6}'], lines: 2 },
  { path: '/v3/lease/keepalive', send: ['{"ID":5}'], lines: 1, protocols: ['Bearer', 'token'] },
  { path: '/v3/lease/keepalive', send: ['{"ID":5}'], lines: 1, headers: { cookie: 'a=b; token=x' } },
  { path: '/v3/lease/keepalive', send: ['x'], lines: 0 },
  { path: '/v3/kv/range', send: ['{"key":7}'], lines: 0 },
  { path: '/v3/nowhere?method=GET', send: ['{}'], lines: 0 },
  { path: '/v3//watch', send: [], lines: 0 },
  { path: '/health', send: [], lines: 0 },
];

async function ask(
  member: Member,
  path: string,
  body: string,
  headers: Record<string, string>,
): Promise<Answer> {
  const response = await fetch(`${member.clientUrl}${path}`, { method: 'POST', body, headers });
  const text = await response.text();
  const lines = text.split('\n').filter((line) => line !== '');
  const parsed = lines.map((line) => {
    try {
      return comparable(JSON.parse(line));
    } catch {
      return line;
    }
  });
  return { status: response.status, type: response.headers.get('content-type'), body: parsed };
}

/** The first lines of a stream that does not end by itself. */
async function watch(member: Member, body: string, count: number): Promise<unknown[]> {
  const abort = new AbortController();
  const response = await fetch(`${member.clientUrl}/v3/watch`, {
    method: 'POST',
    body,
    signal: abort.signal,
  });
  const lines: unknown[] = [];
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    rest += decoder.decode(chunk as Uint8Array, { stream: true });
    const parts = rest.split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts.map((line) => comparable(JSON.parse(line))));
    if (lines.length >= count) break;
  }
  abort.abort();
  return lines;
}

const key = base64('foo');

describe.skipIf(missing !== undefined)(`the JSON gateway behaves as in etcd ${missing ?? ''}`, () => {
  let etcd: Member;
  let other: Member;

  beforeAll(async () => {
    const flags = ['--bcrypt-cost=4', '--heartbeat-interval=100'];
    [etcd, other] = await Promise.all([
      Member.start({ kind: 'etcd', name: 'same', flags }),
      Member.start({ kind: serverUnderTest, name: 'same', flags }),
    ]);
  });

  afterAll(async () => {
    await Promise.all([etcd.destroy(), other.destroy()]);
  });

  async function both(
    path: string,
    body: string,
    headers: [Record<string, string>, Record<string, string>] = [{}, {}],
  ) {
    const [a, b] = await Promise.all([ask(etcd, path, body, headers[0]), ask(other, path, body, headers[1])]);
    expect({ path, ...b }).toEqual({ path, ...a });
  }

  it('requests in all valid and invalid forms', async () => {
    const different: unknown[] = [];
    for (const asked of oddRequests) {
      const [a, b] = await Promise.all([agreed(etcd, asked), agreed(other, asked)]);
      const shown = { ...asked, body: String(asked.body ?? '').slice(0, 200) };
      if (JSON.stringify(a) !== JSON.stringify(b)) different.push({ asked: shown, etcd: a, other: b });
    }
    expect(different).toEqual([]);
  });

  it('WebSockets', async () => {
    for (const conversation of conversations) {
      const [a, b] = await Promise.all([converse(etcd, conversation), converse(other, conversation)]);
      expect({ conversation, seen: b }).toEqual({ conversation, seen: a });
    }
  });

  it('watches', async () => {
    const body = `{"create_request":{"key":"${key}"}} {"create_request":{"key":"AA==","range_end":"AA==","filters":["NODELETE"]}}`;
    const watched = Promise.all([watch(etcd, body, 4), watch(other, body, 4)]);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await both('/v3/kv/put', `{"key":"${key}","value":"${base64('watched')}"}`);
    const [a, b] = await watched;
    const sorted = (lines: unknown[]): string[] => lines.map((line) => JSON.stringify(line)).sort();
    expect(sorted(b)).toEqual(sorted(a));
  });

  it('requests of every service', async () => {
    for (const [path, body] of requests) await both(path, body);
  });

  it('requests with tokens', async () => {
    const login = async (member: Member): Promise<Record<string, string>> => {
      const response = await fetch(`${member.clientUrl}/v3/auth/authenticate`, {
        method: 'POST',
        body: '{"name":"root","password":"r"}',
      });
      const { token } = (await response.json()) as { token: string };
      return { authorization: token };
    };
    const tokens: [Record<string, string>, Record<string, string>] = [await login(etcd), await login(other)];
    for (const [path, body] of requests.slice(0, 20)) await both(path, body, tokens);
    const bad = { authorization: 'bad' };
    for (const path of [
      '/v3/kv/range',
      '/v3/maintenance/snapshot',
      '/v3/lease/keepalive',
      '/v3/auth/user/list',
    ])
      await both(path, `{"key":"${key}"}`, [bad, bad]);
    await both('/v3/auth/disable', '{}', tokens);
    await both('/v3/kv/range', `{"key":"${key}"}`);
  });
});

describe('gRPC and JSON give the same responses', () => {
  let json: Member;
  let grpc: Member;
  let client: RpcClient;

  beforeAll(async () => {
    const flags = ['--bcrypt-cost=4', '--heartbeat-interval=100'];
    [json, grpc] = await Promise.all([
      Member.start({ kind: 'keystead', name: 'same', flags }),
      Member.start({ kind: 'keystead', name: 'same', flags }),
    ]);
    client = new RpcClient(grpc.endpoint);
  });

  afterAll(async () => {
    client.close();
    await Promise.all([json.destroy(), grpc.destroy()]);
  });

  it('every method that has a route', async () => {
    const asked = new Set<string>(['/v3/watch', '/v3/election/observe']);
    for (const [path, body] of requests) {
      const method = routes.get(path);
      // A stream of requests is one request here.
      if (method === undefined || (method.clientStreaming && !/^\{[^}]*\}$/.test(body))) continue;
      asked.add(path);
      let request: unknown;
      try {
        request = decodeJson(method.request.typeName, body);
      } catch (error) {
        expect(error).toBeInstanceOf(JsonError);
        continue;
      }
      const [viaJson, viaGrpc] = await Promise.all([
        ask(json, path, body, {}),
        callOnce(client, method, request),
      ]);
      expect({ path, body, answer: viaJson.body }).toEqual({ path, body, answer: asJson(method, viaGrpc) });
    }
    expect([...routes.keys()].filter((route) => !asked.has(route))).toEqual([]);
  });
});

function callOnce(client: RpcClient, method: MethodDescriptor, request: unknown): Promise<RpcAnswer> {
  if (method.clientStreaming) return client.exchange(method, request);
  return method.serverStreaming ? client.serverStream(method, request) : client.unary(method, request);
}

/** An answer as the lines that the gateway makes of it. */
function asJson({ response, serverStreaming }: MethodDescriptor, answer: RpcAnswer): unknown[] {
  if ('code' in answer) {
    const error = { code: answer.code, message: answer.details };
    return [serverStreaming ? { error } : error];
  }
  return answer.messages.map((message) => {
    const text = encodeJson(response.typeName, message as Record<string, unknown>);
    const value = comparable(JSON.parse(text));
    return serverStreaming ? { result: value } : value;
  });
}

const VALUE_BYTES = 1024 * 1024;
const VALUES = 100;
const MIB = 1024 * 1024;

/** A long range that is read slowly is never completely in memory and does not delay other requests. */
describe('a response of 100 MiB', () => {
  let member: Member;

  beforeAll(async () => {
    member = await Member.start({ kind: 'keystead' });
    const value = Buffer.alloc(VALUE_BYTES, 'v').toString('base64');
    for (let index = 0; index < VALUES; index++) {
      const body = JSON.stringify({ key: base64(`large/${String(index).padStart(3, '0')}`), value });
      const { status } = await ask(member, '/v3/kv/put', body, {});
      expect(status).toBe(200);
    }
  });

  afterAll(async () => {
    await member.destroy();
  });

  it('streams with bounded memory while others are served', async () => {
    const before = residentBytes(member.pid);
    const abort = new AbortController();
    const range = `{"key":"${base64('large/')}","range_end":"${base64('large0')}"}`;
    const response = await fetch(`${member.clientUrl}/v3/kv/range`, {
      method: 'POST',
      body: range,
      signal: abort.signal,
    });
    let most = 0;
    const delays: number[] = [];
    let isReading = true;
    const others = (async () => {
      while (isReading) {
        const from = performance.now();
        await ask(member, '/v3/kv/range', `{"key":"${base64('none')}"}`, {});
        delays.push(performance.now() - from);
        most = Math.max(most, residentBytes(member.pid));
        await delay(5);
      }
    })();
    // Nothing is read at first, to see how much the server produces in advance.
    await delay(1_000);
    let bytes = 0;
    let tail = '';
    for await (const chunk of response.body ?? []) {
      const part = Buffer.from(chunk as Uint8Array);
      bytes += part.length;
      tail = (tail + part.toString('latin1')).slice(-200);
    }
    isReading = false;
    await others;
    expect(bytes).toBeGreaterThan(VALUES * VALUE_BYTES * 1.33);
    expect(tail).toMatch(/"count":"100"\}$/);
    expect((most - before) / MIB).toBeLessThan(80);
    delays.sort((a, b) => a - b);
    expect(delays[Math.floor(delays.length / 2)]).toBeLessThan(50);
  });

  it('is dropped when its client disconnects, and compactions continue', async () => {
    const abort = new AbortController();
    await fetch(`${member.clientUrl}/v3/kv/range`, {
      method: 'POST',
      body: `{"key":"${base64('large/')}","range_end":"${base64('large0')}"}`,
      signal: abort.signal,
    });
    abort.abort();
    const body = `{"revision":"${VALUES}","physical":true}`;
    expect((await ask(member, '/v3/kv/compaction', body, {})).status).toBe(200);
  });
});
