import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  AlarmRequest,
  AlarmRequestAlarmAction as AlarmAction,
  AlarmType,
  CompactionRequest,
  DeleteRangeRequest,
  HashKVRequest,
  LeaseGrantRequest,
  LeaseRevokeRequest,
  LeaseTimeToLiveRequest,
  PutRequest,
  RangeRequest,
  TxnRequest,
  WatchCreateRequest,
  WatchRequest,
} from '../src/wire/gen/etcdserverpb.ts';
import { Auth, Cluster, KV, Lease, Maintenance, Watch } from '../src/wire/services.ts';
import { Member } from './harness/member.ts';
import { metricsOf } from './harness/metrics.ts';
import { missingPeers } from './harness/paths.ts';
import { RpcClient } from './harness/rpc-client.ts';

const missing = missingPeers('etcd');

const key = Buffer.from('key');
const put = (name: string, more: Partial<PutRequest> = {}): PutRequest =>
  PutRequest.create({ key: Buffer.from(name), value: Buffer.from('value'), ...more });
const range = (more: Partial<RangeRequest> = {}): RangeRequest => RangeRequest.create({ key, ...more });

/** Sends requests that a server counts, including refused ones. */
async function ask(client: RpcClient): Promise<void> {
  const { range: get, put: set, deleteRange, txn, compact } = KV.methods;
  const { leaseGrant, leaseRevoke, leaseTimeToLive } = Lease.methods;
  for (let at = 0; at < 5; at += 1) await client.unary(set, put(`key${at}`));
  await client.unary(set, put(''));
  await client.unary(set, put('key', { lease: 12345n }));
  await client.unary(set, put('none', { value: Buffer.alloc(0), ignoreValue: true }));
  await client.unary(get, range());
  await client.unary(get, range({ serializable: true }));
  await client.unary(get, range({ revision: 1000 }));
  const reading = { request: { case: 'requestRange', value: range() } } as const;
  const writing = { request: { case: 'requestPut', value: put('key') } } as const;
  await client.unary(txn, TxnRequest.create({ success: [reading] }));
  await client.unary(txn, TxnRequest.create({ success: [writing, reading] }));
  await client.unary(deleteRange, DeleteRangeRequest.create({ key }));
  await client.unary(compact, CompactionRequest.create({ revision: 3 }));
  await client.unary(compact, CompactionRequest.create({ revision: 3 }));
  await client.unary(get, range({ revision: 2 }));
  await client.unary(leaseGrant, LeaseGrantRequest.create({ id: 7n, ttl: 100 }));
  await client.unary(leaseGrant, LeaseGrantRequest.create({ id: 7n, ttl: 100 }));
  await client.unary(leaseTimeToLive, LeaseTimeToLiveRequest.create({ id: 7n }));
  await client.unary(leaseRevoke, LeaseRevokeRequest.create({ id: 7n }));
  await client.unary(leaseRevoke, LeaseRevokeRequest.create({ id: 7n }));
  await client.unary(Auth.methods.userList, {});
  await client.unary(Auth.methods.roleGet, { role: 'none' });
  await client.unary(Cluster.methods.memberList, { linearizable: true });
  await client.unary(Maintenance.methods.status, {});
}

/** Fills the families that plain requests do not fill. */
async function use(client: RpcClient, member: Member): Promise<void> {
  const { put: set, compact } = KV.methods;
  const watch = client.openStream(Watch.methods.watch);
  const created = new Promise((resolve) => watch.once('data', resolve));
  watch.on('error', () => undefined);
  const value = WatchCreateRequest.create({ key, progressNotify: true });
  watch.write(WatchRequest.create({ requestUnion: { case: 'createRequest', value } }));
  await created;
  const changed = new Promise((resolve) => watch.once('data', resolve));
  for (let at = 0; at < 50; at += 1) await client.unary(set, put('key'));
  await changed;
  const { hash, hashKv, defragment, snapshot } = Maintenance.methods;
  await client.unary(hash, {});
  await client.unary(hashKv, HashKVRequest.create({ revision: 0 }));
  await client.unary(compact, CompactionRequest.create({ revision: 20, physical: true }));
  await client.serverStream(snapshot, {});
  await client.unary(defragment, {});
  // A report of progress, which comes every 100 ms.
  await new Promise((resolve) => watch.once('data', resolve));
  watch.cancel();
  // A health check fails also before etcd has elected a leader. Whether the start asked then depends on time.
  const alarm = (action: AlarmAction): Promise<unknown> =>
    client.unary(Maintenance.methods.alarm, AlarmRequest.create({ action, alarm: AlarmType.NOSPACE }));
  await alarm(AlarmAction.ACTIVATE);
  expect((await fetch(`${member.clientUrl}/health`)).status).toBe(503);
  await alarm(AlarmAction.DEACTIVATE);
}

/** Counters that depend only on the requests, without gauges of time, bytes and the process. */
const COUNTS = [
  /^etcd_server_(client_requests_total|(apply|request|range)_duration_seconds_count)/,
  /^grpc_server_((started|handled|msg_received|msg_sent)_total|handling_seconds_count)/,
  /^etcd_mvcc_(put|delete)_total/,
  /^etcd_debugging_mvcc_(keys_total|events_total|current_revision|compact_revision|watcher_total)/,
  /^etcd_debugging_lease_(granted|revoked|renewed)_total/,
  /^etcd_debugging_lease_ttl_total/,
  /^etcd_network_known_peers/,
  /^etcd_server_(has_leader|is_leader|is_learner|version|cluster_version|proposals_failed_total|quota_backend_bytes)/,
];

/** Families that have a sample other than 0. */
async function nonZero(member: Member): Promise<Set<string>> {
  const samples = (await metricsOf(member)).split('\n').filter((line) => /^[^#].* (?!0$)/.test(line));
  return new Set(
    samples.filter((line) => !/_bucket\{/.test(line)).map((line) => line.replace(/(_sum|_count)?[{ ].*/, '')),
  );
}

/**
 * Families of the Go runtime, of etcd's internal gRPC client and of its v2 store. In etcd one bbolt read transaction is
 * always open; reads of this store end with their request.
 */
const ETCD_ALONE = /^(go_|grpc_client_|etcd_debugging_store_|etcd_mvcc_db_open_read_transactions$)/;

/** Families that the compatibility page calls always zero. */
function alwaysZero(): Set<string> {
  const page = readFileSync(new URL('../docs/compatibility.md', import.meta.url), 'utf8');
  return new Set([...page.matchAll(/^\| (\w+) +\| \w+ +\| always zero/gm)].map((match) => match[1] ?? ''));
}

async function counts(member: Member): Promise<Map<string, number>> {
  const text = await metricsOf(member);
  const lines = text.split('\n').filter((line) => COUNTS.some((pattern) => pattern.test(line)));
  return new Map(
    lines.map((line) => {
      const end = line.lastIndexOf(' ');
      return [line.slice(0, end).replaceAll(/"[0-9a-f]{15,16}"/g, '"ID"'), Number(line.slice(end))];
    }),
  );
}

/** Returns the increase of the counters. Health checks, which count as reads, were before. */
function growth(before: Map<string, number>, after: Map<string, number>): string[] {
  return [...after]
    .map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const)
    .filter(([, count]) => count !== 0)
    .map(([name, count]) => `${name} ${count}`)
    .sort();
}

describe.skipIf(missing !== undefined)(`metrics ${missing ?? ''}`, () => {
  const members: Member[] = [];
  beforeAll(async () => {
    for (const kind of ['etcd', 'keystead'] as const)
      members.push(
        await Member.start({
          kind,
          flags: [
            ...['--metrics=extensive', '--watch-progress-notify-interval=100ms'],
            // Small, so that the few requests of a test release the log.
            ...['--snapshot-count=20', '--auto-compaction-retention=0'],
          ],
        }),
      );
  });
  afterAll(async () => {
    await Promise.all(members.map((member) => member.destroy()));
  });

  it('count the same requests as etcd does', async () => {
    const found: string[][] = [];
    for (const member of members) {
      const before = await counts(member);
      const client = new RpcClient(member.endpoint);
      await ask(client);
      client.close();
      found.push(growth(before, await counts(member)));
    }
    const [etcd, keystead] = found;
    expect(keystead).toEqual(etcd);
  });

  it('count the bytes of messages as etcd does', async () => {
    const found: { received: number; sent: number; responses: number }[] = [];
    for (const member of members) {
      const bytes = async (direction: string): Promise<number> =>
        Number(
          new RegExp(`^etcd_network_client_grpc_${direction}_bytes_total (.*)$`, 'm').exec(
            await metricsOf(member),
          )?.[1],
        );
      const before = [await bytes('received'), await bytes('sent')] as const;
      const client = new RpcClient(member.endpoint);
      const responses = 200;
      for (let at = 0; at < responses; at += 1) await client.unary(KV.methods.put, put(`bytes${at}`));
      client.close();
      found.push({
        received: (await bytes('received')) - before[0],
        sent: (await bytes('sent')) - before[1],
        responses,
      });
    }
    const [etcd, keystead] = found;
    expect(keystead?.received).toBe(etcd?.received);
    // The ids of cluster and member in each header take nine or ten bytes.
    expect(Math.abs((keystead?.sent ?? 0) - (etcd?.sent ?? 0))).toBeLessThanOrEqual(2 * 200);
  });

  // Some families were listed as supported but were never written.
  it('fill the families that etcd fills', async () => {
    const filled: Set<string>[] = [];
    for (const member of members) {
      const client = new RpcClient(member.endpoint);
      await use(client, member);
      client.close();
      filled.push(await nonZero(member));
    }
    const [etcd, keystead] = filled;
    const known = new Set([...(keystead ?? []), ...alwaysZero()]);
    expect([...(etcd ?? [])].filter((name) => !known.has(name) && !ETCD_ALONE.test(name))).toEqual([]);
  });
});
