import type { Steps } from '../lib/steps.ts';
import { decodeInSteps } from '../wire/codec.ts';
import { InternalRaftRequest, TxnRequest } from '../wire/gen/etcdserverpb.ts';
import { Reader } from '../wire/reader.ts';

/** A transaction of more bytes may have so many operations that it is decoded in steps. */
const LARGE_BYTES = 32 * 1024;
const TXN_TAG = (6 << 3) | 2;

/** Whether the data of an entry is a request that is decoded in steps: a transaction begins with its own field. */
export function isLargeRequest(data: Buffer): boolean {
  return data.length > LARGE_BYTES && data[0] === TXN_TAG;
}

/** An entry with a large request that is not decoded yet. */
export class LargeRequest {
  readonly #data: Buffer;

  constructor(data: Buffer) {
    this.#data = data;
  }

  /** Gives what `InternalRaftRequest.decode` gives. @throws WireError for invalid bytes */
  *decode(): Steps<InternalRaftRequest> {
    const reader = new Reader(this.#data);
    const request = InternalRaftRequest.create();
    while (reader.position < reader.length) {
      const endOfField = reader.endOfFields(1);
      const start = reader.position;
      if (request.txn === undefined && reader.tag() === TXN_TAG) {
        request.txn = yield* decodeInSteps(TxnRequest, reader.bytes());
      } else {
        reader.position = start;
        InternalRaftRequest.read(reader, endOfField, request);
      }
    }
    return request;
  }
}
