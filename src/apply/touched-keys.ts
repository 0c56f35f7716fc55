import type { InternalRaftRequest, RequestOp, TxnRequest } from '../wire/gen/etcdserverpb.ts';

/** Adds the single keys that a request will look up, so that a batch reads them all at once. */
export function touchedKeys(request: InternalRaftRequest, keys: Buffer[]): void {
  if (request.txn !== undefined) ofTxn(request.txn, keys);
  else if (request.put !== undefined) keys.push(request.put.key);
  else if (request.deleteRange !== undefined && request.deleteRange.rangeEnd.length === 0)
    keys.push(request.deleteRange.key);
}

/** Adds the single keys that these operations of a transaction look up, without those of nested transactions. */
export function touchedByOps(ops: readonly RequestOp[], keys: Buffer[]): void {
  for (const { request } of ops) {
    if (request?.case === 'requestPut') keys.push(request.value.key);
    else if (request !== undefined && request.case !== 'requestTxn' && request.value.rangeEnd.length === 0)
      keys.push(request.value.key);
  }
}

function ofTxn(txn: TxnRequest, keys: Buffer[]): void {
  for (const { key, rangeEnd } of txn.compare) if (rangeEnd.length === 0) keys.push(key);
  for (const ops of [txn.success, txn.failure]) {
    touchedByOps(ops, keys);
    for (const { request } of ops) if (request?.case === 'requestTxn') ofTxn(request.value, keys);
  }
}
