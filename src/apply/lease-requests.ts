import type { Steps } from '../lib/steps.ts';
import type { Lessor } from '../lease/lessor.ts';
import { EtcdError, errors } from '../wire/errors.ts';
import {
  type LeaseCheckpointRequest,
  type LeaseGrantRequest,
  LeaseGrantResponse,
  type LeaseRevokeRequest,
} from '../wire/gen/etcdserverpb.ts';
import { EMPTY } from '../wire/reader.ts';
import { deleteRange, type KvContext } from './kv-context.ts';
import { type ApplyResult, headerOnly, message } from './results.ts';

/** How many keys are deleted in one step, each looked up by itself. */
const KEYS_PER_STEP = 128;

export function applyGrant(lessor: Lessor, request: LeaseGrantRequest, revision: number): ApplyResult {
  const lease = lessor.grant(request.id, request.ttl);
  if (lease instanceof EtcdError) return lease;
  const response = LeaseGrantResponse.create({ id: lease.id, ttl: lease.ttl });
  return message(revision, LeaseGrantResponse.encode(response));
}

/** Deletes the lease's keys at one revision, in byte order, so that all members write the same history. */
export function* applyRevoke(context: KvContext, request: LeaseRevokeRequest): Steps<ApplyResult> {
  const { lessor, store } = context;
  if (lessor.lookup(request.id) === undefined) return errors.LeaseNotFound;
  const keys = yield* lessor.keysOf(request.id);
  const txn = store.begin();
  for (const [at, key] of keys.entries()) {
    if (at % KEYS_PER_STEP === KEYS_PER_STEP - 1) yield;
    yield* deleteRange(context, txn, { key, rangeEnd: EMPTY });
  }
  txn.end();
  lessor.remove(request.id);
  return headerOnly(store.revision);
}

export function applyCheckpoint(
  lessor: Lessor,
  request: LeaseCheckpointRequest,
  revision: number,
): ApplyResult {
  for (const { id, remainingTtl } of request.checkpoints) lessor.checkpoint(id, remainingTtl);
  return headerOnly(revision);
}
