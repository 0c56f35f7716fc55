import type { MessageCodec } from '../../src/wire/codec.ts';
import {
  CompactionRequest,
  DefragmentRequest,
  DeleteRangeRequest,
  HashKVRequest,
  HashRequest,
  LeaseLeasesRequest,
  LeaseRevokeRequest,
  LeaseTimeToLiveRequest,
  RangeRequest,
  RangeRequestSortOrder,
  RangeRequestSortTarget,
  RangeResponse,
  SnapshotRequest,
  StatusRequest,
  StatusResponse,
  TxnRequest,
} from '../../src/wire/gen/etcdserverpb.ts';
import { KV, Lease, Maintenance } from '../../src/wire/services.ts';
import { LoadClient } from '../harness/load-client.ts';
import type { Member } from '../harness/member.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';
import { eventsToWatchers } from './large-events.ts';
import { LARGE_LEASE } from './large-store.ts';

const TIMEOUT_MS = 240_000;

/** Something that is asked of a member, with a name for messages. */
export interface LargeStep {
  readonly name: string;
  readonly run: (member: Member) => Promise<unknown>;
}

/** Requests of every kind whose work grows with the data. */
export const largeSteps: readonly LargeStep[] = [
  unary('status', Maintenance.methods.status, StatusRequest.create()),
  { name: 'metrics', run: async ({ clientUrl }) => (await fetch(`${clientUrl}/metrics`)).text() },
  range('count of all keys', { ...prefix('/'), countOnly: true }),
  range('count between two keys', {
    key: Buffer.from('/registry/pods/00000123'),
    rangeEnd: Buffer.from('/registry/pods/00025011'),
    countOnly: true,
  }),
  range('page of 500', { ...prefix('/registry/pods/'), limit: 500 }),
  range('page of 10,000', { ...prefix('/registry/pods/'), limit: 10_000 }),
  range('list of all pods', prefix('/registry/pods/')),
  range('keys of all pods', { ...prefix('/registry/pods/'), keysOnly: true }),
  range('list of all pods by value', {
    ...prefix('/registry/pods/'),
    sortTarget: RangeRequestSortTarget.VALUE,
    sortOrder: RangeRequestSortOrder.DESCEND,
  }),
  range('list of all pods created lately', { ...prefix('/registry/pods/'), minCreateRevision: 1_000_000 }),
  stream(
    'list of all pods as a stream',
    KV.methods.rangeStream,
    RangeRequest.create(prefix('/registry/pods/')),
  ),
  unary(
    'transaction that lists all pods',
    KV.methods.txn,
    TxnRequest.create({
      success: [{ request: { case: 'requestRange', value: RangeRequest.create(prefix('/registry/pods/')) } }],
    }),
  ),
  {
    name: 'list by the JSON gateway',
    run: async ({ clientUrl }) => {
      const { key, rangeEnd } = prefix('/registry/events/');
      const body = { key: key.toString('base64'), range_end: rangeEnd.toString('base64') };
      const answer = await fetch(`${clientUrl}/v3/kv/range`, { method: 'POST', body: JSON.stringify(body) });
      return (await answer.arrayBuffer()).byteLength;
    },
  },
  {
    name: 'transaction with very many empty operations',
    run: async ({ endpoint }) => {
      const client = new LoadClient(endpoint, { timeoutMs: TIMEOUT_MS });
      const answer = await client.call(KV.methods.txn.path, Buffer.alloc(1_400_000, Buffer.from([0x12, 0])));
      client.close();
      expectTooMany(JSON.stringify(answer));
    },
  },
  {
    name: 'transaction with very many empty operations by the JSON gateway',
    run: async ({ clientUrl }) => {
      const body = `{"success":[${'{},'.repeat(500_000)}{}]}`;
      expectTooMany(await (await fetch(`${clientUrl}/v3/kv/txn`, { method: 'POST', body })).text());
    },
  },
  unary('list of all leases', Lease.methods.leaseLeases, LeaseLeasesRequest.create()),
  unary(
    'keys of a lease',
    Lease.methods.leaseTimeToLive,
    LeaseTimeToLiveRequest.create({ id: LARGE_LEASE, keys: true }),
  ),
  unary('HashKV', Maintenance.methods.hashKv, HashKVRequest.create()),
  unary('Hash', Maintenance.methods.hash, HashRequest.create()),
  stream('snapshot', Maintenance.methods.snapshot, SnapshotRequest.create()),
  watched(
    prefix('/deleted/'),
    untilApplied(
      unary(
        'delete of a range that is watched',
        KV.methods.deleteRange,
        DeleteRangeRequest.create({ ...prefix('/deleted/'), prevKv: true }),
      ),
    ),
  ),
  untilApplied(
    unary(
      'delete of a range in a transaction',
      KV.methods.txn,
      TxnRequest.create({
        success: [
          {
            request: {
              case: 'requestDeleteRange',
              value: DeleteRangeRequest.create(prefix('/registry/pods/000')),
            },
          },
        ],
      }),
    ),
  ),
  {
    name: 'list and count at a past revision',
    run: async (member) => {
      const revision = (await revisionOf(member)) - 1;
      await range('', { ...prefix('/registry/'), revision, countOnly: true }).run(member);
      await range('', { ...prefix('/registry/'), revision, limit: 500 }).run(member);
      await range('', { ...prefix('/registry/pods/'), revision }).run(member);
    },
  },
  untilApplied(
    unary(
      'revoke of a lease with many keys',
      Lease.methods.leaseRevoke,
      LeaseRevokeRequest.create({ id: LARGE_LEASE }),
    ),
  ),
  {
    name: 'compaction',
    run: async (member) =>
      unary(
        '',
        KV.methods.compact,
        CompactionRequest.create({ revision: await revisionOf(member), physical: true }),
      ).run(member),
  },
  unary('defragment', Maintenance.methods.defragment, DefragmentRequest.create()),
];

function expectTooMany(answer: string): void {
  if (!answer.includes('too many operations')) throw new Error(answer);
}

/** Keys that begin with the text. */
export function prefix(text: string): { key: Buffer; rangeEnd: Buffer } {
  const rangeEnd = Buffer.from(text);
  rangeEnd[rangeEnd.length - 1] = (rangeEnd.at(-1) ?? 0) + 1;
  return { key: Buffer.from(text), rangeEnd };
}

function range(name: string, fields: Partial<RangeRequest>): LargeStep {
  return unary(name, KV.methods.range, RangeRequest.create(fields));
}

interface NamedMethod<Q> {
  readonly path: string;
  readonly request: MessageCodec<Q>;
}

/** The response is not decoded, which would take longer than its making. */
function unary<Q>(name: string, method: NamedMethod<Q>, request: Q): LargeStep {
  return {
    name,
    run: async ({ endpoint }) => {
      const client = new LoadClient(endpoint, { timeoutMs: TIMEOUT_MS });
      const answer = await client.call(method.path, method.request.encode(request));
      client.close();
      if (!('message' in answer)) throw new Error(`${name}: ${JSON.stringify(answer)}`);
      return answer.message;
    },
  };
}

/** As in etcd, a change that takes longer than seven seconds is answered with an error, and is made nevertheless. */
function untilApplied({ name, run }: LargeStep): LargeStep {
  return {
    name,
    run: async (member) => {
      try {
        return await run(member);
      } catch (error) {
        if (!String(error).includes('request timed out')) throw error;
        return eventually(`${name} is applied`, async () => isIdle(await statusOf(member)), {
          timeoutMs: TIMEOUT_MS,
        });
      }
    },
  };
}

/** A change of all keys of a range, with watchers of it. */
function watched(keys: { key: Buffer; rangeEnd: Buffer }, { name, run }: LargeStep): LargeStep {
  return {
    name,
    run: async (member) => {
      const count = await range('', { ...keys, countOnly: true }).run(member);
      const events = RangeResponse.decode(count as Buffer).count;
      const next = (await revisionOf(member)) + 1;
      await eventsToWatchers(member.endpoint, keys, events, next, () => run(member));
    },
  };
}

function isIdle({ raftIndex, raftAppliedIndex }: StatusResponse): boolean {
  return raftIndex === raftAppliedIndex;
}

/** A call that the server ends, whose messages are dropped as they come. */
function stream<Q>(name: string, method: NamedMethod<Q>, request: Q): LargeStep {
  return {
    name,
    run: async ({ endpoint }) => {
      const client = new RpcClient(endpoint, { timeoutMs: TIMEOUT_MS });
      const call = client.openServerStream({ ...method, response: bytesOnly }, request);
      call.on('data', () => undefined);
      try {
        await new Promise((resolve, reject) => call.once('end', resolve).once('error', reject));
      } finally {
        client.close();
      }
    },
  };
}

const bytesOnly = { decode: (bytes: Buffer) => bytes.length } as unknown as MessageCodec<number>;

async function statusOf(member: Member): Promise<StatusResponse> {
  const message = await unary('status', Maintenance.methods.status, StatusRequest.create()).run(member);
  return StatusResponse.decode(message as Buffer);
}

async function revisionOf(member: Member): Promise<number> {
  return (await statusOf(member)).header?.revision ?? 0;
}
