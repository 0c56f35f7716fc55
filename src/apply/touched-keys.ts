import type { InternalRaftRequest, TxnRequest } from '../wire/gen/etcdserverpb.ts';

/** Adds the single keys that a request will look up, so that a batch reads them all at once. */
export function touchedKeys(request: InternalRaftRequest, keys: Buffer[]): void {
  if (request.txn !== undefined) ofTxn(request.txn, keys);
  else if (request.put !== undefined) keys.push(request.put.key);
  else if (request.deleteRange !== undefined && request.deleteRange.rangeEnd.length === 0)
    keys.push(request.deleteRange.key);
}

function ofTxn(txn: TxnRequest, keys: Buffer[]): void {
  for (const { key, rangeEnd } of txn.compare) if (rangeEnd.length === 0) keys.push(key);
  for (const ops of [txn.success, txn.failure]) {
    for (const { request } of ops) {
      if (request?.case === 'requestPut') keys.push(request.value.key);
      else if (request?.case === 'requestTxn') ofTxn(request.value, keys);
      else if (request !== undefined && request.value.rangeEnd.length === 0) keys.push(request.value.key);
    }
  }
}
