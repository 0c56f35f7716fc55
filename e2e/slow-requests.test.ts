import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CompactionRequest,
  DeleteRangeRequest,
  LeaseGrantRequest,
  PutRequest,
  RangeRequest,
  type RequestOp,
  TxnRequest,
} from '../src/wire/gen/etcdserverpb.ts';
import { KV, Lease } from '../src/wire/services.ts';
import { TestCluster } from './clusters/test-cluster.ts';
import { Member, type MemberKind } from './harness/member.ts';
import { missingPeers } from './harness/paths.ts';
import { freePort } from './harness/ports.ts';
import { Relay } from './harness/relay.ts';
import { RpcClient } from './harness/rpc-client.ts';
import { eventually } from './harness/wait.ts';

/** Each way between two members, so that a request that needs a quorum takes longer than 100 ms. */
const DELAY_MS = 80;
const key = Buffer.from('key');
const value = Buffer.from('value');

const op = {
  put: (more: Partial<PutRequest> = {}): RequestOp => ({
    request: { case: 'requestPut', value: PutRequest.create({ key, value, ...more }) },
  }),
  range: (more: Partial<RangeRequest> = {}): RequestOp => ({
    request: { case: 'requestRange', value: RangeRequest.create({ key, ...more }) },
  }),
  remove: (): RequestOp => ({
    request: { case: 'requestDeleteRange', value: DeleteRangeRequest.create({ key: Buffer.from('none') }) },
  }),
};

const put =
  (more: Partial<PutRequest> = {}) =>
  (client: RpcClient) =>
    client.unary(KV.methods.put, PutRequest.create({ key, value, ...more }));
const range =
  (more: Partial<RangeRequest> = {}) =>
  (client: RpcClient) =>
    client.unary(KV.methods.range, RangeRequest.create({ key, ...more }));
const txn = (more: Partial<TxnRequest>) => (client: RpcClient) =>
  client.unary(KV.methods.txn, TxnRequest.create(more));
const compact = (revision: number, physical: boolean) => (client: RpcClient) =>
  client.unary(KV.methods.compact, CompactionRequest.create({ revision, physical }));

/** In their order: later ones depend on the revisions of earlier ones. */
const calls: Readonly<Record<string, (client: RpcClient) => Promise<unknown>>> = {
  put: put(),
  'put that returns the value before': put({ prevKv: true }),
  'put with an unknown lease': put({ lease: 99n }),
  'put of an odd key': put({ key: Buffer.from('a"\u0001\u00e9{;}') }),
  range: range(),
  'range of a prefix': range({ rangeEnd: Buffer.from('kez'), countOnly: true }),
  'range with a limit': range({ key: Buffer.from('a'), rangeEnd: Buffer.from('z'), limit: 1 }),
  'range of a future revision': range({ revision: 1000 }),
  'serializable range': range({ serializable: true }),
  'txn that writes': txn({ success: [op.put(), op.range()] }),
  'txn that deletes nothing': txn({ success: [op.remove(), op.range()] }),
  'txn whose comparison fails': txn({
    compare: [{ key, result: 1, target: 0, targetUnion: undefined, rangeEnd: Buffer.alloc(0) }],
    success: [op.put()],
    failure: [op.range(), op.remove(), op.put()],
  }),
  'txn that is refused': txn({ success: [op.put(), op.range({ revision: 1000 })] }),
  'txn that reads': txn({ success: [op.range(), op.range({ rangeEnd: Buffer.from('z') })] }),
  'serializable txn': txn({ success: [op.range({ serializable: true })] }),
  'range stream': (client) => client.serverStream(KV.methods.rangeStream, RangeRequest.create({ key })),
  'physical compaction': compact(2, true),
  compaction: compact(3, false),
  'compaction of the same revision': compact(3, false),
  delete: (client) => client.unary(KV.methods.deleteRange, DeleteRangeRequest.create({ key })),
  'lease grant': (client) =>
    client.unary(Lease.methods.leaseGrant, LeaseGrantRequest.create({ id: 7n, ttl: 100 })),
};

interface TraceLine {
  readonly level: string;
  readonly trace_id: number;
  readonly operation: string;
  readonly detail: string;
  readonly duration: string;
  readonly start: string;
  readonly end: string;
  readonly steps: string[];
  readonly step_count: number;
}

function tracesSince(member: Member, from: number): TraceLine[] {
  return member.program.lines
    .slice(from)
    .filter((line) => line.includes('"msg":"trace"'))
    .map((line) => JSON.parse(line) as TraceLine);
}

/** Lines without what differs from run to run. The index of the log differs by the entries of the start. */
function shown(lines: readonly TraceLine[] | undefined): unknown {
  return lines?.map((line) => ({
    names: Object.keys(line),
    level: line.level,
    operation: line.operation,
    detail: line.detail.replaceAll(/Index:\d+/g, 'Index:<number>'),
    steps: line.steps.filter(isLong).map((step) => step.replace(/duration: .*\)/, 'duration)')),
  }));
}

/** Steps of some microseconds are listed for a read loop only, and by their share of the time for others. */
function isLong(step: string): boolean {
  return milliseconds(/duration: (.*)\)/.exec(step)?.[1] ?? '') > 60;
}

function milliseconds(duration: string): number {
  const [, number = '', unit = ''] = /^([\d.]+)(µs|ms|s)$/.exec(duration) ?? [];
  return Number(number) * ({ µs: 0.001, ms: 1, s: 1000 }[unit] ?? NaN);
}

const missing = missingPeers('etcd');
describe.skipIf(missing !== undefined)(`slow requests are logged as by etcd ${missing ?? ''}`, () => {
  const found = new Map<string, Record<'etcd' | 'keystead', readonly TraceLine[]>>();

  /**
   * Another delay of 100 ms on a busy machine also makes a request slow. So calls are repeated if their lines differ, and a
   * difference counts only if it is seen each time.
   */
  beforeAll(async () => {
    for (let attempt = 1; attempt <= 4; attempt += 1) {
      const [etcd, keystead] = await Promise.all([run('etcd'), run('keystead')]);
      for (const name of Object.keys(calls)) {
        const known = found.get(name);
        if (known !== undefined && isDeepStrictEqual(shown(known.keystead), shown(known.etcd))) continue;
        found.set(name, { etcd: etcd.get(name) ?? [], keystead: keystead.get(name) ?? [] });
      }
      if ([...found.values()].every((lines) => isDeepStrictEqual(shown(lines.keystead), shown(lines.etcd))))
        return;
    }
  }, 480_000);

  async function run(kind: MemberKind): Promise<Map<string, TraceLine[]>> {
    const relays: Relay[] = [];
    const placements: { relayPort: number; peerPort: number }[] = [];
    for (let at = 0; at < 3; at += 1) {
      const placement = { relayPort: await freePort(), peerPort: await freePort() };
      relays.push(await Relay.open(placement.relayPort, placement.peerPort, DELAY_MS));
      placements.push(placement);
    }
    const cluster = await TestCluster.create([kind, kind, kind], [], () => ({}), placements);
    const client = new RpcClient((await cluster.leader()).endpoint);
    try {
      const member = await cluster.leader();
      const traces = new Map<string, TraceLine[]>();
      for (const [name, call] of Object.entries(calls)) {
        const from = member.program.lines.length;
        await call(client).catch(() => undefined);
        // The lines of a call are written before its response, and reach this process before those of the next one.
        await put({ key: Buffer.from('after'), value: Buffer.from(name) })(client);
        await eventually(`the line of the put after ${name}`, () =>
          tracesSince(member, from).some(({ detail }) => detail.includes('key:after')),
        );
        traces.set(
          name,
          tracesSince(member, from).filter(({ detail }) => !detail.includes('key:after')),
        );
      }
      return traces;
    } finally {
      client.close();
      await cluster.destroy();
      for (const relay of relays) relay.close();
    }
  }

  it.each(Object.keys(calls))('for this call: %s', (name) => {
    expect(shown(found.get(name)?.keystead)).toEqual(shown(found.get(name)?.etcd));
  });

  it('with the same times in the same form', () => {
    for (const { etcd, keystead } of found.values())
      for (const line of [...etcd, ...keystead]) {
        const tookMs = new Date(line.end).getTime() - new Date(line.start).getTime();
        expect(Math.abs(milliseconds(line.duration) - tookMs)).toBeLessThan(3);
        expect(line.start).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
        expect(line.step_count).toBe(line.steps.length);
        expect(Number.isInteger(line.trace_id)).toBe(true);
      }
  });
});

describe('a slow request', () => {
  let member: Member;
  let client: RpcClient;
  beforeAll(async () => {
    member = await Member.start({ kind: 'keystead', flags: ['--max-txn-ops=20000'] });
    client = new RpcClient(member.endpoint);
  });
  afterAll(async () => {
    client.close();
    await member.destroy();
  });

  it('is logged with the step that took long, and quick ones are not logged', async () => {
    let slowPuts = 0;
    for (let round = 0; round < 10; round += 1) {
      const startedMs = performance.now();
      await put()(client);
      if (performance.now() - startedMs > 100) slowPuts += 1;
    }
    expect(tracesSince(member, 0).length).toBeLessThanOrEqual(slowPuts);
    const putMany = (part: number, ops: number): Promise<unknown> => {
      const puts = Array.from({ length: ops }, (_, at) => op.put({ key: Buffer.from(`many/${part}/${at}`) }));
      return txn({ success: puts })(client);
    };
    // It may take longer than the timeout of requests on a busy machine, and is done nevertheless.
    await putMany(0, 20_000);
    for (let part = 1; part <= 110; part += 1) await putMany(part, 2_000);
    const from = member.program.lines.length;
    await range({
      key: Buffer.from('many/'),
      rangeEnd: Buffer.from('many0'),
      countOnly: false,
      sortTarget: 4,
      sortOrder: 2,
      limit: 1,
    })(client);
    const line = await eventually('the line of a range over 240,000 keys', () =>
      tracesSince(member, from).find(({ operation }) => operation === 'range'),
    );
    expect(line.detail).toMatch(
      /^\{range_begin:many\/; range_end:many0; response_count:1; response_revision:\d+; \}$/,
    );
    expect(line.steps.join()).toMatch(/^'range keys from the store' {2}\(duration: /);
  });
});
