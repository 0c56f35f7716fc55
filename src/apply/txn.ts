import { assert, defined } from '../lib/assert.ts';
import type { Steps } from '../lib/steps.ts';
import type { RangeResult } from '../mvcc/range-scan.ts';
import type { WriteTxn } from '../mvcc/write-txn.ts';
import { type EtcdError, errors } from '../wire/errors.ts';
import type { RequestOp, TxnRequest } from '../wire/gen/etcdserverpb.ts';
import { decideBranches } from './compares.ts';
import {
  deleteRange,
  type KvContext,
  put,
  rangeOptions,
  refusePut,
  refuseRevision,
  scanRange,
  writeDeleteBody,
  writePutBody,
  writeRangeBody,
} from './kv-context.ts';
import { touchedByOps } from './touched-keys.ts';
import { EMPTY_BODY, ResponseBody } from './response-body.ts';
import type { ApplyResult } from './results.ts';

type Op = RequestOp['request'];

/** How many operations run in one step, of those that read or write the store. */
const OPS_PER_STEP = 64;
/** How many operations are checked in one step. */
const CHECKS_PER_STEP = 1024;

/**
 * Runs a transaction in three passes over the branches it takes. The compares decide the branches. Then everything
 * that can fail is checked. Then the writes are made. So a transaction either fails and changes nothing, or makes all
 * its writes at one revision, the same on every member.
 *
 * @param wanted whether a caller waits for the response; if not, nothing is read for it
 */
export function* runTxn(context: KvContext, request: TxnRequest, wanted: boolean): Steps<ApplyResult> {
  const branches = yield* decideBranches(context.store, request);
  const refusal = yield* new Branches(branches).check(context, request);
  if (refusal !== undefined) return refusal;
  const pinned: RangeResult[] = [];
  if (wanted) yield* new Branches(branches).readPinned(context, request, pinned);
  const txn = context.store.begin();
  const body = wanted ? new ResponseBody() : EMPTY_BODY;
  yield* new Branches(branches, pinned).execute(context, txn, request, wanted ? body : undefined);
  const { revision } = txn;
  txn.end();
  return { revision, body };
}

/** One pass over a transaction along its decided branches. */
class Branches {
  readonly #decided: readonly boolean[];
  readonly #pinned: readonly RangeResult[];
  #at = 0;
  #pinnedAt = 0;
  #checked = 0;
  #executed = 0;

  constructor(decided: readonly boolean[], pinned: readonly RangeResult[] = []) {
    this.#decided = decided;
    this.#pinned = pinned;
  }

  #next(): boolean {
    return defined(this.#decided[this.#at++], 'a branch is decided for each transaction that runs');
  }

  #nextPinned(): RangeResult {
    return defined(this.#pinned[this.#pinnedAt++], 'reads at a revision were made before the writes');
  }

  *check(context: KvContext, request: TxnRequest): Steps<EtcdError | undefined> {
    for (const { request: op } of this.#next() ? request.success : request.failure) {
      if (this.#checked++ % CHECKS_PER_STEP === CHECKS_PER_STEP - 1) yield;
      const refusal =
        op?.case === 'requestTxn' ? yield* this.check(context, op.value) : this.#checkOp(context, op);
      if (refusal !== undefined) return refusal;
    }
    return undefined;
  }

  #checkOp(context: KvContext, op: Op): EtcdError | undefined {
    switch (op?.case) {
      case 'requestRange':
        return op.value.revision === 0 ? undefined : refuseTxnRevision(context, op.value.revision);
      case 'requestPut':
        return refusePut(context, op.value);
      case 'requestTxn':
      case 'requestDeleteRange':
      case undefined:
        return undefined;
    }
  }

  /** Runs the reads at a given revision. They must not see the transaction's own writes, so they come first. */
  *readPinned(context: KvContext, request: TxnRequest, results: RangeResult[]): Steps<void> {
    for (const { request: op } of this.#next() ? request.success : request.failure) {
      if (op?.case === 'requestTxn') yield* this.readPinned(context, op.value, results);
      else if (op?.case === 'requestRange' && op.value.revision > 0) {
        if (results.length % OPS_PER_STEP === OPS_PER_STEP - 1) yield;
        results.push(yield* scanRange(context.store.scan(rangeOptions(op.value))));
      }
    }
  }

  /** @param body receives TxnResponse after its header; undefined if no caller wants it */
  *execute(
    context: KvContext,
    txn: WriteTxn,
    request: TxnRequest,
    body: ResponseBody | undefined,
  ): Steps<void> {
    const succeeded = this.#next();
    body?.varint(2, succeeded ? 1 : 0);
    const ops = succeeded ? request.success : request.failure;
    for (const [at, { request: op }] of ops.entries()) {
      if (this.#executed++ % OPS_PER_STEP === OPS_PER_STEP - 1) yield;
      if (at > 0 && at % OPS_PER_STEP === 0) prefetch(context, ops.slice(at, at + OPS_PER_STEP));
      assert(op !== undefined, 'operations of a logged transaction name a request');
      if (body === undefined) {
        yield* this.#executeOp(context, txn, op, undefined);
        continue;
      }
      const response = new ResponseBody();
      const field = yield* this.#executeOp(context, txn, op, response);
      body.wrapped(3, field, response);
    }
  }

  /** @returns the operation's field in ResponseOp */
  *#executeOp(
    context: KvContext,
    txn: WriteTxn,
    op: Exclude<Op, undefined>,
    body: ResponseBody | undefined,
  ): Steps<number> {
    switch (op.case) {
      case 'requestRange': {
        if (body === undefined) return 1;
        const result =
          op.value.revision > 0 ? this.#nextPinned() : yield* scanRange(txn.scan(rangeOptions(op.value)));
        body.nestedHeader(txn.revision);
        yield* writeRangeBody(body, result);
        return 1;
      }
      case 'requestPut': {
        const previous = put(context, txn, op.value);
        body?.nestedHeader(txn.revision);
        if (body !== undefined) writePutBody(body, txn, op.value, previous);
        return 2;
      }
      case 'requestDeleteRange': {
        const wantsPrevious = body !== undefined && op.value.prevKv;
        const deleted = yield* deleteRange(context, txn, op.value, wantsPrevious);
        body?.nestedHeader(txn.revision);
        if (body !== undefined) yield* writeDeleteBody(body, context.store, deleted);
        return 3;
      }
      case 'requestTxn': {
        // etcd sets the revision only at the outermost level.
        body?.nestedHeader(0);
        yield* this.execute(context, txn, op.value, body);
        return 4;
      }
    }
  }
}

/** Reads what the next operations look up at once. What they delete is read again. */
function prefetch({ store }: KvContext, ops: readonly RequestOp[]): void {
  const keys: Buffer[] = [];
  touchedByOps(ops, keys);
  store.prefetch(keys);
}

/** A negative revision counts as compacted, except -1 before any compaction. In a plain range it does not. */
export function refuseTxnRevision(
  { store }: Pick<KvContext, 'store'>,
  revision: number,
): EtcdError | undefined {
  if (revision < 0) return revision < store.compactRevision ? errors.Compacted : undefined;
  return refuseRevision(store, revision);
}

/** Whether any range in the transaction is at a given revision. */
export function hasPinnedRange(request: TxnRequest): boolean {
  return request.success.some(isPinned) || request.failure.some(isPinned);
}

function isPinned({ request: op }: RequestOp): boolean {
  if (op?.case === 'requestTxn') return hasPinnedRange(op.value);
  return op?.case === 'requestRange' && op.value.revision > 0;
}

/** Whether a transaction may take more than one turn of the event loop: it has ranges, or very many keys. */
export function mayBeLarge(request: TxnRequest): boolean {
  return countKeys(request) > SMALL_KEYS;
}

/** The most keys that are looked up and written in one turn. */
const SMALL_KEYS = 128;

function countKeys({ compare, success, failure }: TxnRequest): number {
  let keys = compare.length + success.length + failure.length;
  for (const { rangeEnd } of compare) if (rangeEnd.length > 0) return Infinity;
  for (const ops of [success, failure]) {
    for (const { request: op } of ops) {
      if (op?.case === 'requestTxn') keys += countKeys(op.value);
      else if (op !== undefined && op.case !== 'requestPut' && op.value.rangeEnd.length > 0) return Infinity;
    }
  }
  return keys;
}
