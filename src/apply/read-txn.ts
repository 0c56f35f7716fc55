import type { Steps } from '../lib/steps.ts';
import type { MvccStore } from '../mvcc/store.ts';
import type { RangeResult } from '../mvcc/range-scan.ts';
import type { TxnRequest } from '../wire/gen/etcdserverpb.ts';
import { type CompareView, decideBranches } from './compares.ts';
import { rangeOptions, scanRange, writeRangeBody } from './kv-context.ts';
import { ResponseBody } from './response-body.ts';
import type { ApplyResult } from './results.ts';
import { refuseTxnRevision } from './txn.ts';

const RESPONSE_RANGE = 1;
/** Ranges that are checked or read in one step. */
const CHECKS_PER_STEP = 1024;
const RANGES_PER_STEP = 32;

/**
 * Answers a read-only transaction over several turns of the event loop. All its reads are at one revision, also if
 * there are writes meanwhile. The caller holds back compactions.
 *
 * @param revision the current revision
 */
export function* readTxnAt(store: MvccStore, request: TxnRequest, revision: number): Steps<ApplyResult> {
  const [succeeded] = yield* decideBranches(viewAt(store, revision), request);
  const ops = (succeeded === true ? request.success : request.failure).flatMap(({ request: op }) =>
    op?.case === 'requestRange' ? [op.value] : [],
  );
  for (const [at, range] of ops.entries()) {
    if (at % CHECKS_PER_STEP === CHECKS_PER_STEP - 1) yield;
    const refusal = range.revision === 0 ? undefined : refuseTxnRevision({ store }, range.revision);
    if (refusal !== undefined) return refusal;
  }
  const body = new ResponseBody();
  body.varint(2, succeeded === true ? 1 : 0);
  for (const [at, range] of ops.entries()) {
    if (at % RANGES_PER_STEP === RANGES_PER_STEP - 1) yield;
    const options = rangeOptions(range);
    const asked = options.revision > 0 ? options.revision : revision;
    const result: RangeResult = yield* scanRange(store.scan({ ...options, revision: asked }));
    const response = new ResponseBody();
    response.nestedHeader(revision);
    yield* writeRangeBody(response, result);
    body.wrapped(3, RESPONSE_RANGE, response);
  }
  return { revision, body };
}

function viewAt(store: MvccStore, revision: number): CompareView {
  return {
    get: (key) => (store.revision === revision ? store.get(key) : store.getAt(key, revision)),
    cursor: (range) => store.cursor(range, revision),
    readValue: (meta) => store.readValue(meta),
  };
}
