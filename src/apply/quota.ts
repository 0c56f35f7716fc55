import type { PutRequest, RequestOp, TxnRequest } from '../wire/gen/etcdserverpb.ts';

/** Estimates of what the store adds to a key and value, and of what a lease takes, in bytes. */
const KV_OVERHEAD = 256;
const LEASE_OVERHEAD = 64;
export const LEASE_GRANT_COST = LEASE_OVERHEAD;
/** The quota when none is configured. */
export const DEFAULT_QUOTA_BYTES = 2 * 1024 * 1024 * 1024;

export function putCost(keyLength: number, valueLength: number): number {
  return KV_OVERHEAD + keyLength + valueLength;
}

/** The bytes the dearer branch of a transaction may add; 0 when it puts nothing. */
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

/** The limit on the store's size. Looked at both before proposing and when applying. */
export class Quota {
  readonly #limitBytes: number;
  readonly #sizeBytes: () => number;

  /**
   * @param limitBytes 0 for the default, negative for no limit
   * @param sizeBytes the store's present size
   */
  constructor(limitBytes: number, sizeBytes: () => number) {
    this.#limitBytes = limitBytes === 0 ? DEFAULT_QUOTA_BYTES : limitBytes;
    this.#sizeBytes = sizeBytes;
  }

  get limitBytes(): number {
    return this.#limitBytes;
  }

  /** Whether a request of that cost fits. One that costs nothing always does. */
  fits(cost: number): boolean {
    return cost === 0 || this.#limitBytes < 0 || this.#sizeBytes() + cost < this.#limitBytes;
  }
}
