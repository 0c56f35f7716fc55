import type { PutRequest, RequestOp, TxnRequest } from '../wire/gen/etcdserverpb.ts';

/** Estimated bytes that the store adds to a key and value, and that a lease takes. */
const KV_OVERHEAD = 256;
const LEASE_OVERHEAD = 64;
export const LEASE_GRANT_COST = LEASE_OVERHEAD;
/** The default quota. */
export const DEFAULT_QUOTA_BYTES = 2 * 1024 * 1024 * 1024;

export function putCost(keyLength: number, valueLength: number): number {
  return KV_OVERHEAD + keyLength + valueLength;
}

/** The bytes that the larger branch of a transaction may add; 0 if it puts nothing. */
export function txnCost(request: TxnRequest): number {
  return Math.max(opsCost(request.success), opsCost(request.failure));
}

function opsCost(ops: readonly RequestOp[]): number {
  let cost = 0;
  for (const { request } of ops) {
    if (request?.case === 'requestPut') cost += costOfPut(request.value);
    else if (request?.case === 'requestTxn') cost += txnCost(request.value);
  }
  return cost;
}

function costOfPut(request: PutRequest): number {
  return putCost(request.key.length, request.value.length);
}

/** The limit on the store's size. It is checked before a proposal and when an entry is applied. */
export class Quota {
  readonly #limitBytes: number;
  readonly #sizeBytes: () => number;

  /**
   * @param limitBytes 0 for the default, negative for no limit
   * @param sizeBytes the current size of the store
   */
  constructor(limitBytes: number, sizeBytes: () => number) {
    this.#limitBytes = limitBytes === 0 ? DEFAULT_QUOTA_BYTES : limitBytes;
    this.#sizeBytes = sizeBytes;
  }

  get limitBytes(): number {
    return this.#limitBytes;
  }

  /** Whether a request of this cost fits. A request that costs nothing always fits. */
  fits(cost: number): boolean {
    return cost === 0 || this.#limitBytes < 0 || this.#sizeBytes() + cost < this.#limitBytes;
  }
}
