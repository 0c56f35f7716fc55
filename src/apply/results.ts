import { EtcdError } from '../wire/errors.ts';
import { EMPTY_BODY, ResponseBody } from './response-body.ts';

/** The result of a request that was applied: its response without cluster, member and term. */
export interface Applied {
  /** The revision for the header. */
  readonly revision: number;
  /** The response after its header. */
  readonly body: ResponseBody;
  /** Of a compaction: superseded revisions up to this one are being removed. A physical compaction waits for that. */
  readonly compacting?: number;
}

/** The answer to the local caller of a request. */
export type ApplyResult = Applied | EtcdError;

/** A response with only a header. */
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
