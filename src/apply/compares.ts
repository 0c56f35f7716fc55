import type { Steps } from '../lib/steps.ts';
import type { IndexMeta } from '../mvcc/index-meta.ts';
import { keyRange } from '../mvcc/key-range.ts';
import type { MvccStore } from '../mvcc/store.ts';
import { KeyValueView } from '../wire/key-value.ts';
import {
  type Compare,
  CompareCompareResult,
  CompareCompareTarget,
  type TxnRequest,
} from '../wire/gen/etcdserverpb.ts';
import { EMPTY } from '../wire/reader.ts';

/** How many keys are compared in one step. Each may need its value. */
const KEYS_PER_STEP = 128;

/** What compares read from the store. */
export type CompareView = Pick<MvccStore, 'get' | 'cursor' | 'readValue'>;

/** What a compare sees of a key. A missing key counts as all zeros, but no compare of a value is true for it. */
type Subject = Pick<KeyValueView, 'createRevision' | 'modRevision' | 'version' | 'value' | 'lease'>;

const MISSING: Subject = { createRevision: 0, modRevision: 0, version: 0, value: EMPTY, lease: 0n };

/**
 * Decides the branches of a transaction: first its own, then those of nested transactions, in order. All compares are
 * decided before the first operation runs, so a nested transaction does not see its parent's writes.
 */
export function* decideBranches(
  store: CompareView,
  request: TxnRequest,
  branches: boolean[] = [],
): Steps<boolean[]> {
  let succeeded = true;
  for (const [at, compare] of request.compare.entries()) {
    if (at % KEYS_PER_STEP === KEYS_PER_STEP - 1) yield;
    succeeded = compare.rangeEnd.length > 0 ? yield* holdsForAll(store, compare) : holds(store, compare);
    if (!succeeded) break;
  }
  branches.push(succeeded);
  for (const { request: op } of succeeded ? request.success : request.failure) {
    // Nested transactions may have one compare each.
    if (op?.case === 'requestTxn' && branches.length % KEYS_PER_STEP === KEYS_PER_STEP - 1) yield;
    if (op?.case === 'requestTxn') yield* decideBranches(store, op.value, branches);
  }
  return branches;
}

function holds(store: CompareView, compare: Compare): boolean {
  const meta = store.get(compare.key);
  if (meta === undefined)
    return compare.target !== CompareCompareTarget.VALUE && isResult(compare, orderOf(compare, MISSING));
  return isResult(compare, orderOf(compare, subjectOf(store, compare, meta)));
}

function subjectOf(store: CompareView, compare: Compare, meta: IndexMeta): Subject {
  const value =
    compare.target === CompareCompareTarget.VALUE ? view.read(store.readValue(meta)).value : EMPTY;
  return {
    createRevision: meta.create,
    modRevision: meta.mod,
    version: meta.version,
    value,
    lease: meta.lease,
  };
}

const view = new KeyValueView();

function* holdsForAll(store: CompareView, compare: Compare): Steps<boolean> {
  const isMet = (meta: IndexMeta): boolean =>
    isResult(compare, orderOf(compare, subjectOf(store, compare, meta)));
  const cursor = store.cursor(keyRange(compare.key, compare.rangeEnd));
  let found = 0;
  try {
    for (let isFirst = true; !cursor.isDone; isFirst = false) {
      if (!isFirst) yield;
      const entries = cursor.next(KEYS_PER_STEP);
      found += entries.length;
      if (!entries.every(({ meta }) => isMet(meta))) return false;
    }
  } finally {
    cursor.close();
  }
  if (found > 0) return true;
  return compare.target !== CompareCompareTarget.VALUE && isResult(compare, orderOf(compare, MISSING));
}

/** Negative, zero or positive if the key is below, equal to or above the compare's target. */
function orderOf({ target, targetUnion }: Compare, subject: Subject): number {
  switch (target) {
    case CompareCompareTarget.VALUE:
      return Buffer.compare(subject.value, targetUnion?.case === 'value' ? targetUnion.value : EMPTY);
    case CompareCompareTarget.CREATE:
      return subject.createRevision - (targetUnion?.case === 'createRevision' ? targetUnion.value : 0);
    case CompareCompareTarget.MOD:
      return subject.modRevision - (targetUnion?.case === 'modRevision' ? targetUnion.value : 0);
    case CompareCompareTarget.VERSION:
      return subject.version - (targetUnion?.case === 'version' ? targetUnion.value : 0);
    case CompareCompareTarget.LEASE: {
      const lease = targetUnion?.case === 'lease' ? targetUnion.value : 0n;
      if (subject.lease === lease) return 0;
      return subject.lease < lease ? -1 : 1;
    }
    default:
      return 0;
  }
}

/** An unknown operator is true, as in etcd. */
function isResult({ result }: Compare, order: number): boolean {
  switch (result) {
    case CompareCompareResult.EQUAL:
      return order === 0;
    case CompareCompareResult.NOT_EQUAL:
      return order !== 0;
    case CompareCompareResult.GREATER:
      return order > 0;
    case CompareCompareResult.LESS:
      return order < 0;
    default:
      return true;
  }
}
