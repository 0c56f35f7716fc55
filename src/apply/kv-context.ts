import type { Steps } from '../lib/steps.ts';
import type { Lessor } from '../lease/lessor.ts';
import type { IndexMeta } from '../mvcc/index-meta.ts';
import { keyRange } from '../mvcc/key-range.ts';
import type { RangeOptions } from '../mvcc/range-options.ts';
import type { RangeResult, RangeScan } from '../mvcc/range-scan.ts';
import type { MvccStore } from '../mvcc/store.ts';
import type { WriteTxn } from '../mvcc/write-txn.ts';
import { KeyValueView } from '../wire/key-value.ts';
import { type EtcdError, errors } from '../wire/errors.ts';
import type { DeleteRangeRequest, PutRequest, RangeRequest } from '../wire/gen/etcdserverpb.ts';
import { EMPTY } from '../wire/reader.ts';
import { ResponseBody } from './response-body.ts';

const NO_LEASE = 0n;
/** A step takes about a millisecond with so much of one kind. */
const KEYS_PER_STEP = 256;
const VALUES_PER_STEP = 128;
const BYTES_PER_STEP = 256 * 1024;

export type PutFields = Pick<
  PutRequest,
  'key' | 'value' | 'lease' | 'prevKv' | 'ignoreValue' | 'ignoreLease'
> & {
  /** The key as a string, if it is known. */
  readonly name?: string | undefined;
};

/** The store and the leases of its keys. They change together. */
export interface KvContext {
  readonly store: MvccStore;
  readonly lessor: Lessor;
}

/** Why a put is refused: its lease is missing, or the key whose value or lease it keeps. */
export function refusePut({ store, lessor }: KvContext, request: PutFields): EtcdError | undefined {
  if (request.lease !== NO_LEASE && lessor.lookup(request.lease) === undefined) return errors.LeaseNotFound;
  if ((request.ignoreValue || request.ignoreLease) && store.get(request.key) === undefined)
    return errors.KeyNotFound;
  return undefined;
}

const view = new KeyValueView();

/** Puts, and moves the key from its old lease to the new one. @returns the key before the put */
export function put(context: KvContext, txn: WriteTxn, request: PutFields): IndexMeta | undefined {
  let { value, lease } = request;
  if (request.ignoreValue || request.ignoreLease) {
    // An earlier delete in the same transaction may have removed the key.
    const present = txn.get(request.key);
    if (request.ignoreValue) value = present === undefined ? EMPTY : view.read(txn.read(present)).value;
    if (request.ignoreLease) lease = present?.lease ?? NO_LEASE;
  }
  const previous = txn.put(request.key, value, lease, request.name);
  const oldLease = previous === undefined ? NO_LEASE : previous.lease;
  if (oldLease !== lease) {
    if (oldLease !== NO_LEASE) context.lessor.detach(oldLease, request.key);
    if (lease !== NO_LEASE) context.lessor.attach(lease, request.key);
  }
  return previous;
}

/** The result of a delete: the number of keys, and their previous state if wanted. */
export interface Deleted {
  readonly count: number;
  readonly previous: readonly IndexMeta[];
}

/** Deletes keys and detaches them from their leases. @param wantsPrevious whether the previous keys are returned */
export function* deleteRange(
  { lessor }: KvContext,
  txn: WriteTxn,
  request: Pick<DeleteRangeRequest, 'key' | 'rangeEnd'>,
  wantsPrevious = false,
): Steps<Deleted> {
  let count = 0;
  const metas: IndexMeta[] = [];
  yield* txn.deleteSteps(keyRange(request.key, request.rangeEnd), ({ key, previous }) => {
    count += 1;
    if (wantsPrevious) metas.push(previous);
    if (previous.lease !== NO_LEASE) lessor.detach(previous.lease, key);
  });
  return { count, previous: metas };
}

export function rangeOptions(request: RangeRequest): RangeOptions {
  return {
    range: keyRange(request.key, request.rangeEnd),
    revision: request.revision,
    limit: request.limit,
    keysOnly: request.keysOnly,
    countOnly: request.countOnly,
    sortOrder: request.sortOrder,
    sortTarget: request.sortTarget,
    minModRevision: request.minModRevision,
    maxModRevision: request.maxModRevision,
    minCreateRevision: request.minCreateRevision,
    maxCreateRevision: request.maxCreateRevision,
  };
}

/** Why a read at this revision is refused. */
export function refuseRevision(store: MvccStore, revision: number): EtcdError | undefined {
  switch (store.refusal(revision)) {
    case 'compacted':
      return errors.Compacted;
    case 'future':
      return errors.FutureRev;
    case undefined:
      return undefined;
  }
}

/** PutResponse after its header. */
export function writePutBody(
  body: ResponseBody,
  txn: WriteTxn,
  request: PutFields,
  previous: IndexMeta | undefined,
): void {
  if (request.prevKv && previous !== undefined) body.field(2, txn.read(previous));
}

/** DeleteRangeResponse after its header. */
export function* writeDeleteBody(body: ResponseBody, store: MvccStore, deleted: Deleted): Steps<void> {
  body.varint(2, deleted.count);
  const { previous } = deleted;
  for (let at = 0; at < previous.length; at += VALUES_PER_STEP) {
    if (at > 0) yield;
    body.fields(3, store.readValues(previous.slice(at, at + VALUES_PER_STEP)));
  }
}

/** Scans to the end. */
export function* scanRange(scan: RangeScan): Steps<RangeResult> {
  try {
    while (!scan.step(KEYS_PER_STEP)) yield;
  } catch (error) {
    scan.cancel();
    throw error;
  }
  return scan.result();
}

/** RangeResponse after its header. */
export function* writeRangeBody(body: ResponseBody, result: RangeResult): Steps<void> {
  for (
    let pieces = result.readFields(BYTES_PER_STEP);
    pieces.length > 0;
    pieces = result.readFields(BYTES_PER_STEP)
  ) {
    for (const piece of pieces) body.bytes(piece);
    if (result.isRead) break;
    yield;
  }
  if (result.more) body.varint(3, 1);
  body.varint(4, result.count);
}
