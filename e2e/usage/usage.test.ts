import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/lib/seeded-random.ts';
import {
  CompactionRequest,
  DeleteRangeRequest,
  LeaseGrantRequest,
  LeaseRevokeRequest,
  PutRequest,
  RangeRequest,
  type RangeResponse,
  type RequestOp,
  TxnRequest,
  WatchCreateRequest,
  WatchRequest,
  type WatchResponse,
} from '../../src/wire/gen/etcdserverpb.ts';
import { KeyValue } from '../../src/wire/gen/mvccpb.ts';
import { KV, Lease, Watch } from '../../src/wire/services.ts';
import { snapshotsReceived } from '../clusters/snapshots-received.ts';
import { TestCluster } from '../clusters/test-cluster.ts';
import { type CommandResult, runCommand } from '../harness/command.ts';
import { keysteadBundle } from '../harness/paths.ts';
import type { UsageRow } from '../../src/cli/top/usage-table.ts';
import { type Member, serverUnderTest } from '../harness/member.ts';
import { metricOf, metricsOf } from '../harness/metrics.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';

/** Bytes of a revision besides its KeyValue, as the quota counts them. */
const REVISION_BYTES = 48;

interface Usage {
  readonly keys: number;
  /** Of the current values. */
  readonly bytes: number;
}

function sizeOf(member: Member): Promise<number> {
  return metricOf(member, 'etcd_mvcc_db_total_size_in_bytes');
}

/** Reads a metric by its label `prefix`. */
async function byPrefix(member: Member, metric: string): Promise<Map<string, number>> {
  const text = await metricsOf(member);
  const samples = text.matchAll(new RegExp(`^${metric}\\{prefix="([^"]*)"\\} (\\S+)$`, 'gm'));
  return new Map([...samples].map(([, prefix, value]) => [prefix ?? '', Number(value)]));
}

async function counted(member: Member): Promise<Record<string, Usage>> {
  const [keys, bytes, history] = await Promise.all([
    byPrefix(member, 'keystead_usage_keys'),
    byPrefix(member, 'keystead_usage_bytes'),
    byPrefix(member, 'keystead_usage_history_bytes'),
  ]);
  const usage: Record<string, Usage> = {};
  for (const [prefix, count] of keys)
    if (count > 0)
      usage[prefix] = { keys: count, bytes: (bytes.get(prefix) ?? 0) - (history.get(prefix) ?? 0) };
  return usage;
}

function labelOf(key: string): string {
  if (key.startsWith('/registry/services/specs/')) return '/registry/services/specs/';
  const [, group = '', resource] = /^\/registry\/([^/]+)\/([^/]+)/.exec(key) ?? [];
  if (group === '') return 'other';
  return group.includes('.') ? `/registry/${group}/${resource}` : `/registry/${group}`;
}

describe.skipIf(serverUnderTest === 'etcd')('usage by prefix', () => {
  let cluster: TestCluster;
  let client: RpcClient;
  const random = new SeededRandom(7);

  beforeAll(async () => {
    cluster = await TestCluster.create(
      ['keystead', 'keystead', 'keystead'],
      [
        '--keystead-usage-prefixes=/registry/*,/registry/services/specs/',
        '--snapshot-count=100',
        '--snapshot-catchup-entries=10',
        '--keystead-catchup-bytes=0',
      ],
    );
    client = new RpcClient(cluster.members[0]?.endpoint ?? '');
  });
  afterAll(async () => {
    client.close();
    await cluster.destroy();
  });

  const anyKey = (): Buffer => {
    const kind = random.pick(['pods', 'leases', 'services/specs', 'a.example.com/widgets', 'events']);
    const [place, at] = [random.pick([`/registry/${kind}`, '/else']), random.int(60)];
    return Buffer.from(`${place}/ns/${at}`);
  };
  const anyPut = (lease = 0n): PutRequest =>
    PutRequest.create({ key: anyKey(), value: Buffer.alloc(random.int(400), 'v'), lease });
  const someKeys = (): DeleteRangeRequest => {
    const key = anyKey();
    const rangeEnd = Buffer.from(key);
    rangeEnd[rangeEnd.length - 1] = (rangeEnd.at(-1) ?? 0) + 1;
    return DeleteRangeRequest.create({ key, rangeEnd });
  };

  /** Random requests of all kinds that change the store. */
  async function change(requests: number): Promise<void> {
    for (let at = 0; at < requests; at += 1) {
      const kind = random.int(20);
      if (kind < 12) await client.unary(KV.methods.put, anyPut());
      else if (kind < 15) await client.unary(KV.methods.deleteRange, someKeys());
      else if (kind < 18) {
        const puts = new Map([anyPut(), anyPut(), anyPut()].map((put) => [put.key.toString(), put]));
        const success: RequestOp[] = [...puts.values()].map((value) => ({
          request: { case: 'requestPut', value },
        }));
        await client.unary(KV.methods.txn, TxnRequest.create({ success }));
      } else if (kind < 19) {
        const id = BigInt(1 + random.int(1e9));
        await client.unary(Lease.methods.leaseGrant, LeaseGrantRequest.create({ id, ttl: 60 }));
        for (let key = 0; key < 3; key += 1) await client.unary(KV.methods.put, anyPut(id));
        if (random.chance(0.7))
          await client.unary(Lease.methods.leaseRevoke, LeaseRevokeRequest.create({ id }));
      } else await compact();
    }
  }

  async function all(): Promise<RangeResponse> {
    const range = RangeRequest.create({ key: Buffer.alloc(1), rangeEnd: Buffer.alloc(1) });
    const answer = await client.unary(KV.methods.range, range);
    if (!('messages' in answer)) throw new Error(answer.details);
    return answer.messages[0] as RangeResponse;
  }

  async function compact(): Promise<void> {
    const { header } = await all();
    const revision = Math.max(1, (header?.revision ?? 0) - random.int(50));
    await client.unary(KV.methods.compact, CompactionRequest.create({ revision }));
  }

  async function scanned(): Promise<Record<string, Usage>> {
    const usage: Record<string, Usage> = {};
    for (const kv of (await all()).kvs) {
      const label = labelOf(kv.key.toString());
      const { keys, bytes } = usage[label] ?? { keys: 0, bytes: 0 };
      usage[label] = { keys: keys + 1, bytes: bytes + KeyValue.encode(kv).length + REVISION_BYTES };
    }
    return usage;
  }

  /** Waits until all members have counted exactly what a scan of all keys finds, and their sum is the size of the store. */
  async function compare(): Promise<void> {
    const expected = await scanned();
    expect(Object.keys(expected).length).toBeGreaterThan(4);
    for (const member of cluster.members) {
      let found: unknown;
      await eventually(`${member.name} has counted all keys`, async () => {
        found = await counted(member);
        return JSON.stringify(sorted(found)) === JSON.stringify(sorted(expected));
      }).catch(() => expect(found).toEqual(expected));
      await eventually(`the sum of ${member.name} is its size`, async () => {
        const sizes = await byPrefix(member, 'keystead_usage_bytes');
        const sum = [...sizes.values()].reduce((total, size) => total + size, 0);
        return sum === (await sizeOf(member));
      });
    }
  }

  it('is that of a scan of all keys after random requests', async () => {
    await change(400);
    await compare();
  });

  it('is exact after large changes', async () => {
    const prefix = '/registry/pods/large/';
    const success: RequestOp[] = Array.from({ length: 100 }, (_, at) => ({
      request: { case: 'requestPut', value: PutRequest.create({ key: Buffer.from(`${prefix}${at}`) }) },
    }));
    for (let round = 0; round < 30; round += 1) {
      for (const { request } of success)
        if (request?.case === 'requestPut') request.value.key = Buffer.from(`${prefix}${random.int(1e9)}`);
      await client.unary(KV.methods.txn, TxnRequest.create({ success }));
    }
    await compare();
    const key = Buffer.from(prefix);
    const rangeEnd = Buffer.from('/registry/pods/large0');
    await client.unary(KV.methods.deleteRange, DeleteRangeRequest.create({ key, rangeEnd }));
    await change(20);
    await compare();
  });

  it('is counted again after a restart', async () => {
    await cluster.members[1]?.restart('SIGKILL');
    await cluster.members[2]?.restart('SIGTERM');
    await change(50);
    await compare();
  });

  it('is counted again after a snapshot of the leader', async () => {
    const first = cluster.members[0];
    const late = cluster.members[2];
    if (first === undefined || late === undefined) throw new Error('three members run');
    // The stopped process receives the snapshot later, while it runs.
    late.program.signal('SIGSTOP');
    // The leader has up to 512 messages in flight to a member, which wait in sockets.
    await change(1_500);
    late.program.signal('SIGCONT');
    await change(50);
    await compare();
    expect(await snapshotsReceived(late)).toBeGreaterThan(0);
  });

  it('is shown by keystead top', async () => {
    const endpoints = cluster.members.map(({ endpoint }) => endpoint).join(',');
    const top = (...args: string[]): Promise<CommandResult> =>
      runCommand(process.execPath, [keysteadBundle(), 'top', `--endpoints=${endpoints}`, ...args]);
    const { code, stdout } = await top('--sort=keys');
    expect(code).toBe(0);
    const [header = '', ...rows] = stdout.trim().split('\n');
    expect(header.split(/\s{2,}/)).toEqual(['PREFIX', 'KEYS', 'BYTES', 'HISTORY', 'WRITES', 'WATCHES']);
    const counts = rows.slice(0, -1).map((row) => Number(row.split(/\s{2,}/)[1]));
    expect(counts).toEqual([...counts].sort((a, b) => b - a));
    const sum = counts.reduce((total, count) => total + count, 0);
    expect(rows.at(-1)).toMatch(new RegExp(`^total +${sum} `));
    const { stdout: json } = await top('-o', 'json');
    const { complete, prefixes } = JSON.parse(json) as { complete: boolean; prefixes: UsageRow[] };
    expect(complete).toBe(true);
    const shown = prefixes.filter(({ keys }) => keys > 0);
    expect(
      Object.fromEntries(
        shown.map(({ prefix, keys, bytes, historyBytes }) => [prefix, { keys, bytes: bytes - historyBytes }]),
      ),
    ).toEqual(await scanned());
    const none = await runCommand(process.execPath, [keysteadBundle(), 'top', '--endpoints=127.0.0.1:1']);
    expect(none).toMatchObject({ code: 1, stdout: '' });
    expect(none.stderr).toContain('127.0.0.1:1: no connection');
    expect(await top('--sort=size')).toMatchObject({ code: 2, stdout: '' });
  });

  it('is refreshed by keystead top in a terminal until Ctrl-C', async () => {
    const endpoint = cluster.members[0]?.endpoint ?? '';
    const command = [process.execPath, keysteadBundle(), 'top', `--endpoints=${endpoint}`, '--interval=0.2'];
    // `script` gives the command a terminal.
    const { code, stdout } = await runCommand('timeout', [
      ...['--signal=INT', '3', 'script', '--return', '--quiet', '--command', command.join(' '), '/dev/null'],
    ]);
    expect(stdout.split('\x1b[H\x1b[J').length).toBeGreaterThan(3);
    expect(stdout).toContain('WRITES/S');
    expect(code).toBe(124);
  });

  it('has the watchers of each prefix', async () => {
    const [first, second] = cluster.members;
    if (first === undefined || second === undefined) throw new Error('three members run');
    const stream = client.openStream(Watch.methods.watch);
    const created: bigint[] = [];
    stream.on('error', () => undefined);
    stream.on('data', ({ created: isCreated, watchId }: WatchResponse) => {
      if (isCreated) created.push(watchId);
    });
    const watch = (key: string, end: string): void => {
      const request = WatchCreateRequest.create({ key: Buffer.from(key), rangeEnd: Buffer.from(end) });
      stream.write(WatchRequest.create({ requestUnion: { case: 'createRequest', value: request } }));
    };
    watch('/registry/pods/', '/registry/pods0');
    watch('/registry/pods/ns/', '/registry/pods/ns0');
    watch('/registry/b.example.com/unused/', '/registry/b.example.com/unused0');
    watch('/registry/', '/registry0');
    await eventually('all watches are there', () => Promise.resolve(created.length === 4));
    const watchers = async (member: Member): Promise<[string, number][]> =>
      [...(await byPrefix(member, 'keystead_usage_watchers'))].filter(([, count]) => count > 0);
    expect(await watchers(first)).toEqual([
      ['/registry/b.example.com/unused', 1],
      ['/registry/pods', 2],
      ['other', 1],
    ]);
    expect(await watchers(second)).toEqual([]);
    stream.cancel();
    await eventually('no watcher is left', async () => (await watchers(first)).length === 0);
  });
});

function sorted(usage: unknown): unknown {
  return Object.entries(usage as Record<string, unknown>).sort(([a], [b]) => (a < b ? -1 : 1));
}
