import type { Lessor } from '../lease/lessor.ts';
import { EtcdError, errors } from '../wire/errors.ts';
import {
  type LeaseCheckpointRequest,
  type LeaseGrantRequest,
  LeaseGrantResponse,
  type LeaseRevokeRequest,
} from '../wire/gen/etcdserverpb.ts';
import { deleteRange, type KvContext } from './kv-context.ts';
import { type ApplyResult, headerOnly, message } from './results.ts';

const NO_END = Buffer.alloc(0);

export function applyGrant(lessor: Lessor, request: LeaseGrantRequest, revision: number): ApplyResult {
  const lease = lessor.grant(request.id, request.ttl);
  if (lease instanceof EtcdError) return lease;
  const response = LeaseGrantResponse.create({ id: lease.id, ttl: lease.ttl });
  return message(revision, LeaseGrantResponse.encode(response));
}

/** Deletes the lease's keys at one revision, in byte order, so that all members write the same history. */
export function applyRevoke(context: KvContext, request: LeaseRevokeRequest): ApplyResult {
  const { lessor, store } = context;
  if (lessor.lookup(request.id) === undefined) return errors.LeaseNotFound;
  const txn = store.begin();
  for (const key of lessor.keysOf(request.id)) deleteRange(context, txn, key, NO_END);
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
