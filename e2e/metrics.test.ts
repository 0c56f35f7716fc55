import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CompactionRequest,
  DeleteRangeRequest,
  LeaseGrantRequest,
  LeaseRevokeRequest,
  LeaseTimeToLiveRequest,
  PutRequest,
  RangeRequest,
  TxnRequest,
} from '../src/wire/gen/etcdserverpb.ts';
import { Auth, Cluster, KV, Lease, Maintenance } from '../src/wire/services.ts';
import { Member } from './harness/member.ts';
import { missingPeers } from './harness/paths.ts';
import { RpcClient } from './harness/rpc-client.ts';

const missing = missingPeers('etcd');

const key = Buffer.from('key');
const put = (name: string, more: Partial<PutRequest> = {}): PutRequest =>
  PutRequest.create({ key: Buffer.from(name), value: Buffer.from('value'), ...more });
const range = (more: Partial<RangeRequest> = {}): RangeRequest => RangeRequest.create({ key, ...more });

/** Requests that a server counts, those it refuses among them. */
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

/** Counts that depend on the requests alone; gauges of time, bytes and the process are not among them. */
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

async function counts(member: Member): Promise<Map<string, number>> {
  const text = await (await fetch(`${member.clientUrl}/metrics`)).text();
  const lines = text.split('\n').filter((line) => COUNTS.some((pattern) => pattern.test(line)));
  return new Map(
    lines.map((line) => {
      const end = line.lastIndexOf(' ');
      return [line.slice(0, end).replaceAll(/"[0-9a-f]{15,16}"/g, '"ID"'), Number(line.slice(end))];
    }),
  );
}

/** What came to the counts: probes of health, which count as reads, came before. */
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
      members.push(await Member.start({ kind, flags: ['--metrics=extensive'] }));
  }, 60_000);
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
});
