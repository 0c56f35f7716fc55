import { Reader } from '../wire/reader.ts';

/** Fields of TxnRequest. */
export const SUCCESS = 2;
export const FAILURE = 3;
/** The tag of `succeeded` in TxnResponse. */
export const SUCCEEDED_TAG = 0x10;
/** The tag of a put in RequestOp. */
const PUT_TAG = 0x12;
const LENGTH_DELIMITED = 2;

/** The operations of one branch of a transaction. */
export interface Operations {
  readonly count: number;
  /** Bytes of all of them. */
  readonly bytes: number;
  readonly hasPut: boolean;
}

/**
 * Counts the operations of a branch for a log line. Operations are not decoded: there may be tens of thousands.
 *
 * @param request an encoded TxnRequest
 * @throws WireError for invalid bytes
 */
export function operationsOf(request: Buffer, branch: typeof SUCCESS | typeof FAILURE): Operations {
  const reader = new Reader(request);
  let count = 0;
  let bytes = 0;
  let hasPut = false;
  while (reader.position < reader.length) {
    const tag = reader.tag();
    if (tag !== branch * 8 + LENGTH_DELIMITED) {
      reader.skip(tag);
      continue;
    }
    count += 1;
    const length = reader.uint32();
    if (length > 0 && request[reader.position] === PUT_TAG) hasPut = true;
    bytes += length;
    reader.position += length;
  }
  reader.finish(request.length);
  return { count, bytes, hasPut };
}

/**
 * Whether the comparisons of a transaction held.
 *
 * @param response an encoded TxnResponse, with or without its header
 * @throws WireError for invalid bytes
 */
export function hasSucceeded(response: Buffer): boolean {
  const reader = new Reader(response);
  while (reader.position < reader.length) {
    const tag = reader.tag();
    if (tag === SUCCEEDED_TAG) return reader.bool();
    reader.skip(tag);
  }
  return false;
}
