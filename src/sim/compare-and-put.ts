import {
  Compare,
  CompareCompareResult,
  CompareCompareTarget,
  PutRequest,
  RangeRequest,
  TxnRequest,
  type TxnResponse,
} from '../wire/gen/etcdserverpb.ts';
import type { KeyValue } from '../wire/gen/mvccpb.ts';
import type { KvRequest, KvResponse } from './checkers/client-history.ts';

/** Returns the transaction for a request of a history. */
export function compareAndPut(request: Extract<KvRequest, { kind: 'txn' }>): TxnRequest {
  const key = Buffer.from(request.key);
  const txn = TxnRequest.create();
  txn.compare = [
    {
      ...Compare.create(),
      key,
      result: CompareCompareResult.EQUAL,
      target: CompareCompareTarget.MOD,
      targetUnion: { case: 'modRevision', value: request.ifMod },
    },
  ];
  const put = { ...PutRequest.create(), key, value: Buffer.from(request.value) };
  const range = { ...RangeRequest.create(), key };
  txn.success = [{ request: { case: 'requestPut', value: put } }];
  txn.failure = [{ request: { case: 'requestRange', value: range } }];
  return txn;
}

/** Decodes the response to {@link compareAndPut}, without its revision. */
export function comparedAndPut({
  succeeded,
  responses,
}: TxnResponse): Pick<KvResponse, 'succeeded' | 'found'> {
  const response = responses[0]?.response;
  const kv = response?.case === 'responseRange' ? response.value.kvs[0] : undefined;
  return { succeeded, found: kv === undefined ? undefined : foundIn(kv) };
}

export function foundIn({ value, modRevision }: KeyValue): KvResponse['found'] {
  return { value: value.toString(), mod: modRevision };
}
