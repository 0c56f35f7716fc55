import { EtcdError } from '../wire/errors.ts';
import { EMPTY_BODY, ResponseBody } from './response-body.ts';

/** A request that took effect: what its response says beyond cluster, member and term. */
export interface Applied {
  /** The header's revision. */
  readonly revision: number;
  /** The response after its header. */
  readonly body: ResponseBody;
  /** Of a compaction: the revision up to which superseded ones are being removed, for whoever waits for that. */
  readonly compacting?: number;
}

/** What the local caller of a request is answered. */
export type ApplyResult = Applied | EtcdError;

/** A response of which only the header matters. */
export function headerOnly(revision: number): Applied {
  return { revision, body: EMPTY_BODY };
}

/** @param encoded the response message, encoded without a header */
export function message(revision: number, encoded: Buffer): Applied {
  const body = new ResponseBody();
  if (encoded.length > 0) body.bytes(encoded);
  return { revision, body };
}

export function isError(result: ApplyResult): result is EtcdError {
  return result instanceof EtcdError;
}
