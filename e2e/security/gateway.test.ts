import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Member, serverUnderTest } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';

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

/** Requests in order; each changes both servers alike. */
const requests: readonly (readonly [path: string, body: string])[] = [
  ['/v3/kv/put', `{"key":"${key}","value":"${base64('bar')}"}`],
  ['/v3/kv/put', `{"key":"${key}","value":"${base64('baz')}","prev_kv":true}`],
  ['/v3/kv/put', `{"key":"${key}","prevKv":true,"ignoreValue":true}`],
  ['/v3/kv/range', `{"key":"${key}"}`],
  [
    '/v3/kv/range',
    `{"key":"AA==","range_end":"AA==","sort_order":"DESCEND","sort_target":"MOD","limit":"2"}`,
  ],
  ['/v3/kv/range', `{"key":"${key}","revision":"2","keys_only":true}`],
  ['/v3/kv/range', `{"key":"${key}","count_only":true}`],
  ['/v3/kv/range', `{"key":"${key}","revision":"99"}`],
  ['/v3/kv/range', '{}'],
  ['/v3/kv/range', ''],
  ['/v3/kv/range', 'null'],
  ['/v3/kv/range', '{"key":'],
  ['/v3/kv/range', '{"key":7}'],
  ['/v3/kv/range', '{"key":"%"}'],
  ['/v3/kv/range', `{"key":"${key}","limit":"x"}`],
  ['/v3/kv/range', `{"key":"${key}","unknown":[1,{}]} trailing`],
  [
    '/v3/kv/txn',
    `{"compare":[{"target":"VALUE","key":"${key}","value":"${base64('baz')}"}],` +
      `"success":[{"requestPut":{"key":"${base64('a')}","value":"${base64('1')}"}},{"request_range":{"key":"${key}"}}],` +
      `"failure":[{"request_delete_range":{"key":"${key}"}}]}`,
  ],
  ['/v3/kv/txn', '{"success":[{}]}'],
  ['/v3/kv/txn', `{"success":[{"requestTxn":{"success":[{"requestRange":{"key":"${key}"}}]}}]}`],
  ['/v3/kv/deleterange', `{"key":"${base64('a')}","prev_kv":true}`],
  ['/v3/kv/compaction', '{"revision":"3"}'],
  ['/v3/kv/compaction', '{"revision":"3"}'],
  ['/v3/kv/compaction', '{"revision":"300"}'],
  ['/v3/lease/grant', '{"TTL":"600","ID":"77"}'],
  ['/v3/lease/grant', '{"TTL":"600","ID":"77"}'],
  ['/v3/lease/grant', '{"TTL":"99999999999"}'],
  ['/v3/lease/keepalive', '{"ID":"77"}'],
  ['/v3/lease/keepalive', '{"ID":"77"} {"ID":"78"}'],
  ['/v3/lease/keepalive', ''],
  ['/v3/lease/timetolive', '{"ID":"77","keys":true}'],
  ['/v3/kv/lease/timetolive', '{"ID":"78"}'],
  ['/v3/lease/leases', '{}'],
  ['/v3/kv/lease/leases', ''],
  ['/v3/lease/revoke', '{"ID":"77"}'],
  ['/v3/lease/revoke', '{"ID":"77"}'],
  ['/v3/kv/lease/revoke', '{"ID":"77"}'],
  ['/v3/cluster/member/list', '{}'],
  ['/v3/cluster/member/add', '{}'],
  ['/v3/cluster/member/remove', '{"ID":"1"}'],
  ['/v3/cluster/member/promote', '{"ID":"1"}'],
  ['/v3/cluster/member/update', '{"ID":"1","peerURLs":["http://127.0.0.1:1"]}'],
  ['/v3/maintenance/alarm', '{"action":"GET"}'],
  ['/v3/maintenance/alarm', '{"action":0,"alarm":"NOSPACE"}'],
  ['/v3/maintenance/status', '{}'],
  ['/v3/maintenance/hash', '{}'],
  ['/v3/maintenance/hashkv', '{"revision":"0"}'],
  ['/v3/maintenance/hashkv', '{"revision":"3000"}'],
  ['/v3/maintenance/transfer-leadership', '{"targetID":"5"}'],
  ['/v3/maintenance/downgrade', '{"action":"VALIDATE","version":"x"}'],
  ['/v3/maintenance/downgrade', '{"action":"CANCEL"}'],
  ['/v3/nowhere', '{}'],
  ['/v3/kv/range/', '{}'],
  ['/v3/auth/status', '{}'],
  ['/v3/auth/authenticate', '{"name":"root","password":"r"}'],
  ['/v3/auth/enable', '{}'],
  ['/v3/auth/user/add', '{"name":"root","password":"r"}'],
  ['/v3/auth/user/add', '{"name":"root","password":"r"}'],
  ['/v3/auth/user/add', '{"name":"u","options":{"no_password":true}}'],
  ['/v3/auth/user/add', '{}'],
  ['/v3/auth/user/get', '{"name":"u"}'],
  ['/v3/auth/user/get', '{"name":"none"}'],
  ['/v3/auth/user/list', '{}'],
  ['/v3/auth/user/changepw', '{"name":"none","password":"x"}'],
  ['/v3/auth/role/add', '{"name":"root"}'],
  ['/v3/auth/role/add', '{"name":"r"}'],
  ['/v3/auth/role/grant', `{"name":"r","perm":{"permType":"READWRITE","key":"${key}","range_end":"AA=="}}`],
  ['/v3/auth/role/grant', '{"name":"r","perm":{"permType":2,"key":""}}'],
  ['/v3/auth/role/grant', '{"name":"r"}'],
  ['/v3/auth/role/get', '{"role":"r"}'],
  ['/v3/auth/role/list', '{}'],
  ['/v3/auth/role/revoke', `{"role":"r","key":"${key}"}`],
  ['/v3/auth/user/grant', '{"user":"root","role":"root"}'],
  ['/v3/auth/user/revoke', '{"name":"u","role":"r"}'],
  ['/v3/auth/role/delete', '{"role":"none"}'],
  ['/v3/auth/user/delete', '{"name":"u"}'],
  ['/v3/auth/enable', '{}'],
  ['/v3/kv/range', `{"key":"${key}"}`],
  ['/v3/maintenance/snapshot', '{}'],
  ['/v3/auth/user/list', '{}'],
  ['/v3/auth/authenticate', '{"name":"root","password":"wrong"}'],
];

describe.skipIf(missing !== undefined)(`the JSON gateway answers as etcd's ${missing ?? ''}`, () => {
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
