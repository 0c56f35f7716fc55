import { KeyIntervals } from '../lib/key-intervals.ts';
import { runSteps, type Steps } from '../lib/steps.ts';
import { type EtcdError, errors } from '../wire/errors.ts';
import {
  type DeleteRangeRequest,
  type PutRequest,
  type RangeRequest,
  RangeRequestSortOrder,
  RangeRequestSortTarget,
  type RequestOp,
  type TxnRequest,
} from '../wire/gen/etcdserverpb.ts';

/**
 * Validates a request before it is proposed. The checks run in etcd's order, so that a request with several faults
 * gets the same error as in etcd.
 */
export function checkRange(request: RangeRequest): EtcdError | undefined {
  if (request.key.length === 0) return errors.EmptyKey;
  if (request.sortOrder < RangeRequestSortOrder.NONE || request.sortOrder > RangeRequestSortOrder.DESCEND)
    return errors.InvalidSortOption;
  if (request.sortTarget < RangeRequestSortTarget.KEY || request.sortTarget > RangeRequestSortTarget.VALUE)
    return errors.InvalidSortOption;
  return undefined;
}

export function checkPut(request: PutRequest): EtcdError | undefined {
  if (request.key.length === 0) return errors.EmptyKey;
  if (request.ignoreValue && request.value.length !== 0) return errors.ValueProvided;
  if (request.ignoreLease && request.lease !== 0n) return errors.LeaseProvided;
  return undefined;
}

export function checkDelete(request: DeleteRangeRequest): EtcdError | undefined {
  return request.key.length === 0 ? errors.EmptyKey : undefined;
}

/** How many writes are compared with the others in one step. */
const WRITES_PER_STEP = 512;

/** As `checkTxnInSteps`, for a transaction that is known to be small. */
export function checkTxn(request: TxnRequest, maxTxnOps: number): EtcdError | undefined {
  return runSteps(checkTxnInSteps(request, maxTxnOps));
}

/** @param maxTxnOps the most operations in one list; nested transactions share what their parent does not use */
export function* checkTxnInSteps(request: TxnRequest, maxTxnOps: number): Steps<EtcdError | undefined> {
  return (
    checkOps(request, maxTxnOps) ??
    (yield* checkDuplicates(request.success)) ??
    (yield* checkDuplicates(request.failure))
  );
}

function checkOps(request: TxnRequest, maxTxnOps: number): EtcdError | undefined {
  const { compare, success, failure } = request;
  const most = Math.max(compare.length, success.length, failure.length);
  if (most > maxTxnOps) return errors.TooManyOps;
  for (const { key } of compare) if (key.length === 0) return errors.EmptyKey;
  return checkEachOp(success, maxTxnOps - most) ?? checkEachOp(failure, maxTxnOps - most);
}

function checkEachOp(ops: readonly RequestOp[], maxNestedOps: number): EtcdError | undefined {
  for (const { request } of ops) {
    const error = checkOp(request, maxNestedOps);
    if (error !== undefined) return error;
  }
  return undefined;
}

function checkOp(request: RequestOp['request'], maxNestedOps: number): EtcdError | undefined {
  switch (request?.case) {
    case 'requestRange':
      return checkRange(request.value);
    case 'requestPut':
      return checkPut(request.value);
    case 'requestDeleteRange':
      return checkDelete(request.value);
    case 'requestTxn':
      return checkOps(request.value, maxNestedOps);
    case undefined:
      return errors.KeyNotFound;
  }
}

interface Writes {
  readonly puts: ReadonlySet<string>;
  readonly deletes: KeyIntervals;
}

/** No key may be put twice, or both put and deleted, on one path through the transaction. */
function* checkDuplicates(ops: readonly RequestOp[]): Steps<EtcdError | undefined> {
  return isTrivial(ops) || (yield* collectWrites(ops)) !== undefined ? undefined : errors.DuplicateKey;
}

/** At most one operation, which is not a nested transaction: the usual compare-and-set. */
function isTrivial(ops: readonly RequestOp[]): boolean {
  return ops.length === 0 || (ops.length === 1 && ops[0]?.request?.case !== 'requestTxn');
}

/** @returns undefined if a key is written twice */
function* collectWrites(ops: readonly RequestOp[]): Steps<Writes | undefined> {
  const deletes = new KeyIntervals();
  for (const { request } of ops) {
    if (request?.case !== 'requestDeleteRange') continue;
    if (deletes.size % WRITES_PER_STEP === WRITES_PER_STEP - 1) yield;
    addDelete(deletes, request.value);
  }
  const puts = new Set<string>();
  for (const { request } of ops) {
    if (request?.case === 'requestTxn' && !(yield* collectNested(request.value, puts, deletes)))
      return undefined;
  }
  for (const { request } of ops) {
    if (request?.case !== 'requestPut') continue;
    if (puts.size % WRITES_PER_STEP === WRITES_PER_STEP - 1) yield;
    const key = request.value.key.toString('latin1');
    if (puts.has(key) || deletes.has(request.value.key)) return undefined;
    puts.add(key);
  }
  return { puts, deletes };
}

function addDelete(deletes: KeyIntervals, { key, rangeEnd }: DeleteRangeRequest): void {
  // "\0" as range end means "everything from the key on". etcd uses it literally here, as a range that ends before it
  // begins, so such a delete never collides with a put.
  if (rangeEnd.length === 0) deletes.addKey(key);
  else deletes.add(key, rangeEnd);
}

/** Adds the writes of both branches to those of the level above. Only one of the branches is taken. */
function* collectNested(txn: TxnRequest, puts: Set<string>, deletes: KeyIntervals): Steps<boolean> {
  const then = yield* collectWrites(txn.success);
  if (then === undefined) return false;
  const otherwise = yield* collectWrites(txn.failure);
  if (otherwise === undefined) return false;
  // Nested transactions may have one put each.
  yield;
  for (const key of then.puts) {
    if (puts.size % WRITES_PER_STEP === WRITES_PER_STEP - 1) yield;
    if (puts.has(key) || deletes.has(Buffer.from(key, 'latin1'))) return false;
    puts.add(key);
  }
  for (const key of otherwise.puts) {
    if (puts.size % WRITES_PER_STEP === WRITES_PER_STEP - 1) yield;
    if ((puts.has(key) && !then.puts.has(key)) || deletes.has(Buffer.from(key, 'latin1'))) return false;
    puts.add(key);
  }
  deletes.addAll(then.deletes);
  deletes.addAll(otherwise.deletes);
  return true;
}

/** Whether a transaction can be answered from the store without the raft log: it holds only ranges. */
export function isReadonlyTxn(request: TxnRequest): boolean {
  return request.success.every(isRange) && request.failure.every(isRange);
}

function isRange(op: RequestOp): boolean {
  return op.request?.case === 'requestRange';
}

/** Whether a read-only transaction can be answered without asking the leader: all its ranges are serializable. */
export function isSerializableTxn(request: TxnRequest): boolean {
  return request.success.every(isSerializableRange) && request.failure.every(isSerializableRange);
}

function isSerializableRange(op: RequestOp): boolean {
  return op.request?.case === 'requestRange' && op.request.value.serializable;
}
