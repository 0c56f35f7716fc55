import { isReadonlyTxn } from '../apply/checks.ts';
import type { CallTrace, TraceAttributes, TracedOperation } from '../grpc/call-trace.ts';
import type {
  CompactionRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
  WatchCreateRequest,
} from '../wire/gen/etcdserverpb.ts';

/** The operations of traces, with etcd's names and attributes. */

interface Traced {
  readonly trace: CallTrace | undefined;
}

export function traceRange({ trace }: Traced, request: RangeRequest): void {
  trace?.begin('range', { ...rangeAttributes(request), keys_only: request.keysOnly });
}

export function traceRangeStream({ trace }: Traced, request: RangeRequest): void {
  trace?.begin('range_streaming', rangeAttributes(request));
}

function rangeAttributes(request: RangeRequest): TraceAttributes {
  const { key, rangeEnd, revision, limit, countOnly } = request;
  return {
    range_begin: key.toString(),
    range_end: rangeEnd.toString(),
    rev: revision,
    limit,
    count_only: countOnly,
  };
}

export function tracePut({ trace }: Traced, key: Buffer): void {
  trace?.begin('put', { key: key.toString() });
}

export function traceDelete({ trace }: Traced, key: Buffer, rangeEnd: Buffer): void {
  trace?.begin('delete_range', { range_begin: key.toString(), range_end: rangeEnd.toString() });
}

export function traceTxn({ trace }: Traced, request: TxnRequest): void {
  if (trace === undefined) return;
  const { compare, success, failure } = request;
  trace.begin('txn', {
    compare_first_key: firstKey(compare.map(({ key }) => key)),
    success_first_key: firstKey(success.map(keyOf)),
    success_first_type: firstType(success),
    success_first_lease: firstLease(success),
    compare_len: compare.length,
    success_len: success.length,
    failure_len: failure.length,
    read_only: isReadonlyTxn(request),
  });
}

function firstKey(keys: readonly (Buffer | undefined)[]): string {
  return keys.find((key) => key !== undefined && key.length > 0)?.toString() ?? '';
}

function keyOf({ request }: RequestOp): Buffer | undefined {
  return request === undefined || request.case === 'requestTxn' ? undefined : request.value.key;
}

function firstType(operations: readonly RequestOp[]): string {
  const types = {
    requestPut: 'put',
    requestRange: 'range',
    requestDeleteRange: 'delete_range',
    requestTxn: 'txn',
  };
  const first = operations.find(({ request }) => request !== undefined)?.request;
  return first === undefined ? '' : types[first.case];
}

/** The lease of the first put, or -1. */
function firstLease(operations: readonly RequestOp[]): bigint {
  for (const { request } of operations) if (request?.case === 'requestPut') return request.value.lease;
  return -1n;
}

export function traceCompaction({ trace }: Traced, { physical, revision }: CompactionRequest): void {
  trace?.begin('compact', { is_physical: physical, rev: revision });
}

export function traceGrant({ trace }: Traced, id: bigint, ttl: number): void {
  trace?.begin('lease_grant', { id, ttl });
}

export function traceRevoke({ trace }: Traced, id: bigint): void {
  trace?.begin('lease_revoke', { id });
}

export function traceRenewal({ trace }: Traced, id: bigint): TracedOperation | undefined {
  return trace?.begin('lease_renew', { id });
}

/** It lasts until the watch is canceled. */
export function traceWatch({ trace }: Traced, request: WatchCreateRequest): TracedOperation | undefined {
  const { key, rangeEnd, startRevision, progressNotify, prevKv, fragment } = request;
  return trace?.begin('watch', {
    key: key.toString(),
    range_end: rangeEnd.toString(),
    start_rev: startRevision,
    progress_notify: progressNotify,
    prev_kv: prevKv,
    fragment,
  });
}
