import type { StreamCall } from '../grpc/stream-call.ts';
import { keyRange } from '../mvcc/key-range.ts';
import { EtcdError } from '../wire/errors.ts';
import { RangeRequest } from '../wire/gen/etcdserverpb.ts';
import { EventEventType, type KeyValue } from '../wire/gen/mvccpb.ts';
import {
  type CampaignRequest,
  CampaignResponse,
  type LeaderKey,
  LeaderRequest,
  LeaderResponse,
  type ProclaimRequest,
} from '../wire/gen/v3electionpb.ts';
import { EMPTY } from '../wire/reader.ts';
import { Election } from '../wire/services.ts';
import { answer, type Outcome, recipeError } from './concurrency/answer.ts';
import { CallEndedError } from './concurrency/call-ended-error.ts';
import { CallerClient, type TxnOutcome } from './concurrency/caller-client.ts';
import type { KeyEventBatch } from './concurrency/key-events.ts';
import { createdAt, get, put, QueueKeys, remove } from './concurrency/queue-keys.ts';
import type { LeaderMonitor } from './leader-monitor.ts';
import type { ServiceContext } from './service-context.ts';
import { admitStream, endStream, whenWritable, endWithoutLeader } from './stream-calls.ts';

const NO_LEADER = recipeError('election: no leader');
const NOT_LEADER = recipeError('election: not leader');
const LEADER_MISSING = recipeError('"leader" field must be provided');

/** The Election service. The first candidate leads until it resigns or its lease ends. */
export function registerElection(context: ServiceContext, leaders: LeaderMonitor): void {
  const { methods } = Election;

  context.unary(methods.campaign, (call, request) =>
    answer(context, call, campaign(new CallerClient(context, call), request)),
  );

  context.unary(methods.proclaim, (call, request) =>
    answer(context, call, proclaim(new CallerClient(context, call), request)),
  );

  context.unary(methods.leader, (call, request) =>
    answer(context, call, leader(new CallerClient(context, call), request)),
  );

  context.unary(methods.resign, (call, request) =>
    answer(context, call, resign(new CallerClient(context, call), request.leader)),
  );

  context.server.stream(methods.observe, (call) => {
    if (!admitStream(context, call)) return;
    endWithoutLeader(leaders, call);
    call.onMessage = (bytes) => {
      try {
        const keys = new QueueKeys(LeaderRequest.decode(bytes).name);
        observe(context, call, keys).catch((error: unknown) => endObserved(call, error));
      } catch (error) {
        endStream(call, error);
      }
    };
  });
}

async function campaign(client: CallerClient, request: CampaignRequest): Promise<Outcome> {
  const { name, value } = request;
  const keys = new QueueKeys(name);
  const lease = await client.session(request.lease);
  const key = keys.of(lease);
  const entered = await client.txn({
    compare: [createdAt(key, 0)],
    success: [put(key, value, lease)],
    failure: [get(RangeRequest.create({ key }))],
  });
  const existing = entered.found[0]?.[0];
  const rev = entered.succeeded ? entered.revision : (existing?.createRevision ?? 0);
  const candidate: LeaderKey = { name, key, rev, lease };
  // Released now, so that a long wait does not keep the memory of the request.
  const body = CampaignResponse.encode({ header: undefined, leader: candidate });
  if (existing !== undefined && !existing.value.equals(value)) await enterAgain(client, candidate, value);
  await whenLeading(client, keys, { key, rev });
  return { revision: entered.revision, body };
}

type Candidacy = Pick<LeaderKey, 'key' | 'rev'>;

async function whenLeading(client: CallerClient, keys: QueueKeys, candidacy: Candidacy): Promise<void> {
  try {
    await keys.whenGone(client, candidacy.rev - 1);
  } catch (error) {
    // A client that has left must not become leader. Otherwise it may still try again.
    if (error instanceof CallEndedError) await giveUp(client, candidacy);
    throw error;
  }
}

/** The candidate is already in the queue, with another value. */
async function enterAgain(client: CallerClient, candidate: LeaderKey, value: Buffer): Promise<void> {
  try {
    await putIfOwn(client, candidate, value);
  } catch (error) {
    await giveUp(client, candidate);
    throw error;
  }
}

async function proclaim(client: CallerClient, { leader, value }: ProclaimRequest): Promise<Outcome> {
  if (leader === undefined) throw LEADER_MISSING;
  const lease = await client.session(leader.lease);
  return putIfOwn(client, { ...leader, lease }, value);
}

async function putIfOwn(
  client: CallerClient,
  { key, rev, lease }: LeaderKey,
  value: Buffer,
): Promise<TxnOutcome> {
  const outcome = await client.txn({
    compare: [createdAt(key, rev)],
    success: [put(key, value, lease)],
    failure: [],
  });
  if (!outcome.succeeded) throw NOT_LEADER;
  return outcome;
}

async function resign(client: CallerClient, held: LeaderKey | undefined): Promise<Outcome> {
  if (held === undefined) throw LEADER_MISSING;
  await client.session(held.lease);
  return removeIfOwn(client, held);
}

function removeIfOwn(client: CallerClient, { key, rev }: Candidacy): Promise<TxnOutcome> {
  return client.txn({ compare: [createdAt(key, rev)], success: [remove(key)], failure: [] });
}

/** If this fails, the lease ends the candidacy. */
async function giveUp(client: CallerClient, candidate: Candidacy): Promise<void> {
  try {
    await removeIfOwn(client, candidate);
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error;
  }
}

async function leader(client: CallerClient, { name }: LeaderRequest): Promise<Outcome> {
  const { kvs, revision } = await client.range(new QueueKeys(name).owner());
  const [kv] = kvs;
  if (kv === undefined) throw NO_LEADER;
  return { revision, body: LeaderResponse.encode({ header: undefined, kv }) };
}

/** Sends the leader, its proclaimed values, and each later leader, until the client ends the call. */
async function observe(context: ServiceContext, call: StreamCall, keys: QueueKeys): Promise<void> {
  const client = new CallerClient(context, call);
  const tell = async (revision: number, kv: KeyValue): Promise<void> => {
    const body = LeaderResponse.encode({ header: undefined, kv });
    if (!call.write([context.headerAt(revision), body])) await whenWritable(call);
  };
  while (!call.ended) {
    const found = await client.range(keys.owner());
    const first = found.kvs[0] ?? (await firstPut(client, keys, found.revision));
    const revision = found.kvs.length > 0 ? found.revision : first.modRevision;
    await tell(revision, first);
    const range = keyRange(first.key, EMPTY);
    await client.withEvents({ range, startRevision: revision + 1 }, async (events) => {
      for (let batch = await events.next(); batch !== undefined; batch = await events.next()) {
        for (const kv of putsBeforeDelete(batch)) await tell(batch.revision, kv);
        if (hasDelete(batch)) return;
      }
      if (!call.ended) throw COMPACTED;
    });
  }
}

/** The observer was too slow, and the next events were compacted. */
const COMPACTED = recipeError('election: events are compacted');

async function firstPut(client: CallerClient, keys: QueueKeys, revision: number): Promise<KeyValue> {
  return client.withEvents({ range: keys.all, startRevision: revision + 1 }, async (events) => {
    for (let batch = await events.next(); batch !== undefined; batch = await events.next()) {
      const first = batch.events.find(({ type }) => type === EventEventType.PUT);
      if (first?.kv !== undefined) return first.kv;
    }
    throw COMPACTED;
  });
}

function* putsBeforeDelete({ events }: KeyEventBatch): Generator<KeyValue> {
  for (const { type, kv } of events) {
    if (type === EventEventType.DELETE) return;
    if (kv !== undefined) yield kv;
  }
}

function hasDelete({ events }: KeyEventBatch): boolean {
  return events.some(({ type }) => type === EventEventType.DELETE);
}

/** As etcd, which ends the stream without an error when it cannot continue. */
function endObserved(call: StreamCall, error: unknown): void {
  if (error instanceof EtcdError) call.end();
  else if (!(error instanceof CallEndedError)) endStream(call, error);
}
