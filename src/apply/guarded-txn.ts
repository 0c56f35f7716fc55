import type { AuthStore } from '../auth/auth-store.ts';
import { runSteps } from '../lib/steps.ts';
import type { IndexMeta } from '../mvcc/index-meta.ts';
import { AlarmType, CompareCompareTarget } from '../wire/gen/etcdserverpb.ts';
import { EMPTY } from '../wire/reader.ts';
import { varintSize, writeVarint } from '../wire/varint.ts';
import type { AlarmStore } from './alarms.ts';
import type { GuardedEntry } from './guarded-entry.ts';
import { deleteRange, type KvContext, put, refusePut } from './kv-context.ts';
import { putCost, type Quota } from './quota.ts';
import { ResponseBody } from './response-body.ts';
import { type Applied, headerOnly } from './results.ts';

interface GuardedContext extends KvContext {
  readonly alarms: Pick<AlarmStore, 'isRaised'>;
  readonly auth: Pick<AuthStore, 'isEnabled'>;
  readonly quota: Quota;
}

/**
 * Applies a transaction if it is plain: its compare holds and nothing refuses it. Otherwise nothing is changed, and
 * the caller applies it as any other transaction, with the same result as if this had not been tried.
 *
 * @param wanted whether a caller waits for the response
 */
export function applyGuarded(
  context: GuardedContext,
  entry: GuardedEntry,
  wanted: boolean,
): Applied | undefined {
  const { alarms, auth, quota, store } = context;
  if (auth.isEnabled || alarms.isRaised(AlarmType.CORRUPT) || alarms.isRaised(AlarmType.NOSPACE))
    return undefined;
  const present = store.get(entry.key, entry.name);
  if (numberOf(present, entry.target) !== entry.expected) return undefined;
  if (entry.isDelete) {
    if (present === undefined) return undefined;
  } else if (
    !quota.fits(putCost(entry.key.length, entry.value.length)) ||
    refusePut(context, entry) !== undefined
  ) {
    return undefined;
  }
  const txn = store.begin();
  if (entry.isDelete) runSteps(deleteRange(context, txn, { key: entry.key, rangeEnd: EMPTY }));
  else put(context, txn, entry);
  const { revision } = txn;
  txn.end();
  if (!wanted) return headerOnly(revision);
  const body = new ResponseBody();
  body.bytes(encodeAnswer(entry.isDelete, revision));
  return { revision, body };
}

/** What a compare sees of a key. A missing key counts as all zeros. */
function numberOf(meta: IndexMeta | undefined, target: CompareCompareTarget): number {
  if (meta === undefined) return 0;
  if (target === CompareCompareTarget.VERSION) return meta.version;
  return target === CompareCompareTarget.CREATE ? meta.create : meta.mod;
}

const SUCCEEDED = 2 << 3;
const RESPONSES = (3 << 3) | 2;
const RESPONSE_PUT = (2 << 3) | 2;
const RESPONSE_DELETE = (3 << 3) | 2;
const HEADER = (1 << 3) | 2;
const HEADER_REVISION = 3 << 3;
const DELETED = 2 << 3;

/** TxnResponse after its header: it succeeded, and one key was put or deleted. */
function encodeAnswer(isDelete: boolean, revision: number): Buffer {
  const header = 1 + varintSize(revision);
  const response = 2 + header + (isDelete ? 2 : 0);
  const answer = Buffer.allocUnsafe(2 + 2 + 2 + response);
  answer[0] = SUCCEEDED;
  answer[1] = 1;
  answer[2] = RESPONSES;
  answer[3] = 2 + response;
  answer[4] = isDelete ? RESPONSE_DELETE : RESPONSE_PUT;
  answer[5] = response;
  answer[6] = HEADER;
  answer[7] = header;
  answer[8] = HEADER_REVISION;
  const at = writeVarint(answer, 9, revision);
  if (isDelete) {
    answer[at] = DELETED;
    answer[at + 1] = 1;
  }
  return answer;
}
