import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CompactionRequest,
  DeleteRangeRequest,
  LeaseGrantRequest,
  LeaseKeepAliveRequest,
  LeaseRevokeRequest,
  PutRequest,
  RangeRequest,
  TxnRequest,
  WatchCreateRequest,
  WatchRequest,
} from '../src/wire/gen/etcdserverpb.ts';
import { Cluster, KV, Lease, Maintenance, Watch } from '../src/wire/services.ts';
import { TestCluster } from './clusters/test-cluster.ts';
import { Member, type MemberKind } from './harness/member.ts';
import { missingPeers, repositoryRoot } from './harness/paths.ts';
import { RpcClient } from './harness/rpc-client.ts';
import { type ReceivedSpan, TraceCollector } from './harness/trace-collector.ts';
import { freePort } from './harness/ports.ts';
import { eventually } from './harness/wait.ts';

const key = Buffer.from('key');
const value = Buffer.from('value');
/** Spans are sent after five seconds otherwise. etcd reads this variable as well. */
const env = { OTEL_BSP_SCHEDULE_DELAY: '50' };
const TRACED = '01';
const NOT_TRACED = '00';

function flagsFor(collector: TraceCollector, ...more: string[]): string[] {
  return [
    '--enable-distributed-tracing',
    `--distributed-tracing-address=${collector.address}`,
    '--distributed-tracing-instance-id=first',
    ...more,
  ];
}

/** Runs `work` with a client whose calls belong to a trace. Returns the id of the trace. */
async function traced(
  member: Member,
  work: (client: RpcClient) => Promise<unknown>,
  flag = TRACED,
): Promise<string> {
  const traceId = randomBytes(16).toString('hex');
  const traceparent = `00-${traceId}-${randomBytes(8).toString('hex')}-${flag}`;
  const client = new RpcClient(member.endpoint, { traceparent });
  try {
    await work(client);
  } finally {
    client.close();
  }
  return traceId;
}

/** A span without ids and times, with the name of its parent. */
function shown(span: ReceivedSpan, all: readonly ReceivedSpan[]): unknown {
  const { name, kind, attributes, events, status, scope, resource } = span;
  const parent = all.find(({ spanId }) => spanId === span.parentSpanId)?.name ?? 'caller';
  const { 'server.port': port, ...same } = attributes;
  return {
    name,
    parent,
    kind,
    status,
    scope,
    resource,
    attributes: same,
    hasPort: port !== undefined,
    events: events.map((event) => event.name),
  };
}

/** Calls that are answered at once, each in a trace of its own. */
const calls: Readonly<Record<string, (client: RpcClient) => Promise<unknown>>> = {
  put: (client) => client.unary(KV.methods.put, PutRequest.create({ key, value })),
  'put without a key': (client) => client.unary(KV.methods.put, PutRequest.create({ value })),
  'put with an unknown lease': (client) =>
    client.unary(KV.methods.put, PutRequest.create({ key, value, lease: 99n })),
  range: (client) => client.unary(KV.methods.range, RangeRequest.create({ key, limit: 5 })),
  'serializable range': (client) =>
    client.unary(KV.methods.range, RangeRequest.create({ key, serializable: true, keysOnly: true })),
  'range of a future revision': (client) =>
    client.unary(KV.methods.range, RangeRequest.create({ key, revision: 99 })),
  txn: (client) =>
    client.unary(
      KV.methods.txn,
      TxnRequest.create({
        success: [
          { request: { case: 'requestPut', value: PutRequest.create({ key, value }) } },
          { request: { case: 'requestRange', value: RangeRequest.create({ key }) } },
        ],
      }),
    ),
  'txn that reads': (client) =>
    client.unary(
      KV.methods.txn,
      TxnRequest.create({
        failure: [{ request: { case: 'requestRange', value: RangeRequest.create({ key }) } }],
      }),
    ),
  'range stream': (client) => client.serverStream(KV.methods.rangeStream, RangeRequest.create({ key })),
  delete: (client) => client.unary(KV.methods.deleteRange, DeleteRangeRequest.create({ key })),
  compaction: (client) => client.unary(KV.methods.compact, CompactionRequest.create({ revision: 2 })),
  'compaction again': (client) => client.unary(KV.methods.compact, CompactionRequest.create({ revision: 2 })),
  'lease grant': (client) =>
    client.unary(Lease.methods.leaseGrant, LeaseGrantRequest.create({ id: 7n, ttl: 100 })),
  'lease renewal': (client) =>
    client.exchange(Lease.methods.leaseKeepAlive, LeaseKeepAliveRequest.create({ id: 7n })),
  'lease revocation': (client) =>
    client.unary(Lease.methods.leaseRevoke, LeaseRevokeRequest.create({ id: 7n })),
  'member list': (client) => client.unary(Cluster.methods.memberList, { linearizable: false }),
  status: (client) => client.unary(Maintenance.methods.status, {}),
  watch: (client) => watchOnce(client),
};

/** Creates a watch and cancels it. */
async function watchOnce(client: RpcClient): Promise<void> {
  const stream = client.openStream(Watch.methods.watch);
  stream.on('error', () => undefined);
  const next = (): Promise<unknown> => new Promise((resolve) => stream.once('data', resolve));
  const created = next();
  const create = WatchCreateRequest.create({ key, prevKv: true });
  stream.write(WatchRequest.create({ requestUnion: { case: 'createRequest', value: create } }));
  await created;
  const canceled = next();
  stream.write(WatchRequest.create({ requestUnion: { case: 'cancelRequest', value: { watchId: 0n } } }));
  await canceled;
  const ended = new Promise((resolve) => stream.once('error', resolve));
  stream.cancel();
  await ended;
}

const missing = missingPeers('etcd');
describe.skipIf(missing !== undefined)(`traces are those of etcd ${missing ?? ''}`, () => {
  const found = new Map<MemberKind, Map<string, unknown[]>>();
  const overMembers = new Map<MemberKind, unknown[]>();

  beforeAll(async () => {
    for (const kind of ['etcd', 'keystead'] as const) {
      const collector = await TraceCollector.start();
      const cluster = await TestCluster.create([kind, kind, kind], flagsFor(collector), () => env);
      try {
        found.set(kind, await spansOfCalls(collector, await cluster.leader()));
        const leader = await cluster.leader();
        const follower = cluster.members.find((member) => member !== leader) ?? leader;
        const put = (client: RpcClient): Promise<unknown> =>
          client.unary(KV.methods.put, PutRequest.create({ key: Buffer.from('other'), value }));
        const traceId = await traced(follower, put);
        const spans = await eventually('spans of a put', () => complete(collector, traceId));
        overMembers.set(
          kind,
          spans.map((span) => shown(span, spans)),
        );
      } finally {
        await cluster.destroy();
        collector.stop();
      }
    }
  });

  async function spansOfCalls(collector: TraceCollector, member: Member): Promise<Map<string, unknown[]>> {
    const spans = new Map<string, unknown[]>();
    for (const [name, call] of Object.entries(calls)) {
      const traceId = await traced(member, call);
      const all = await eventually(`spans of ${name}`, () => complete(collector, traceId));
      spans.set(
        name,
        all.map((span) => shown(span, all)),
      );
    }
    return spans;
  }

  /** The spans of a trace, once the span of the call is there. It ends last. */
  function complete(collector: TraceCollector, traceId: string): ReceivedSpan[] | undefined {
    const spans = collector.ofTrace(traceId);
    return spans.some(({ kind }) => kind === 2) ? spans : undefined;
  }

  it('for a put over three members, sent to a follower', () => {
    expect(overMembers.get('keystead')).toMatchObject([
      { name: 'etcdserverpb.KV/Put', parent: 'caller' },
      { name: 'put', parent: 'etcdserverpb.KV/Put' },
    ]);
    expect(overMembers.get('keystead')).toEqual(overMembers.get('etcd'));
  });

  it.each(Object.keys(calls))('for this call: %s', (name) => {
    expect(found.get('keystead')?.get(name)).toEqual(found.get('etcd')?.get(name));
  });
});

describe('tracing', () => {
  let collector: TraceCollector;
  beforeAll(async () => {
    collector = await TraceCollector.start();
  });
  afterAll(() => collector.stop());
  const put = (client: RpcClient): Promise<unknown> =>
    client.unary(KV.methods.put, PutRequest.create({ key, value }));

  it('follows the decision of the caller, and the rate for other calls', async () => {
    const member = await Member.start({ kind: 'keystead', flags: flagsFor(collector), env });
    try {
      const refused = await traced(member, put, NOT_TRACED);
      const client = new RpcClient(member.endpoint);
      await put(client);
      client.close();
      const wanted = await traced(member, put);
      await eventually('the wanted spans', () => collector.ofTrace(wanted).length === 2);
      expect(collector.ofTrace(refused)).toEqual([]);
      // By default no call without a trace of its caller is sampled.
      expect(new Set(collector.spans.map(({ traceId }) => traceId))).toEqual(new Set([wanted]));
    } finally {
      await member.destroy();
    }
  });

  it('sends what waits when the member stops', async () => {
    const flags = flagsFor(collector, '--distributed-tracing-sampling-rate=1000000');
    const member = await Member.start({
      kind: 'keystead',
      flags,
      env: { OTEL_BSP_SCHEDULE_DELAY: '3600000' },
    });
    const wanted = await traced(member, put);
    await member.stop();
    expect(collector.ofTrace(wanted).map(({ name }) => name)).toEqual(['etcdserverpb.KV/Put', 'put']);
    await member.destroy();
  });

  it('does not disturb the member when there is no collector', async () => {
    const flags = [
      ...['--enable-distributed-tracing', `--distributed-tracing-address=127.0.0.1:${await freePort()}`],
      '--distributed-tracing-sampling-rate=1000000',
    ];
    const member = await Member.start({
      kind: 'keystead',
      flags,
      env: { ...env, OTEL_EXPORTER_OTLP_TIMEOUT: '500' },
    });
    try {
      await traced(member, put);
      await member.program.sees('failed to export traces');
      await traced(member, put);
    } finally {
      await member.destroy();
    }
  });

  it('is not part of the file that each start loads', () => {
    const holdsSdk = (file: string): boolean =>
      readFileSync(join(repositoryRoot, 'dist', file), 'utf8').includes('BatchSpanProcessor');
    expect([holdsSdk('tracing.js'), holdsSdk('server.js')]).toEqual([true, false]);
  });
});
