import type { EventBatch } from '../mvcc/watch-event.ts';
import type { EtcdError } from '../wire/errors.ts';
import { errors, GrpcCode } from '../wire/errors.ts';
import { WatchResponse } from '../wire/gen/etcdserverpb.ts';
import { EMPTY } from '../wire/reader.ts';
import { bigVarintSize, writeBigVarint } from '../wire/varint.ts';

/** The watch ID of responses that belong to no single watch. */
export const NO_WATCH = -1n;

const TAG_WATCH_ID = 0x10;
/** `fragment`, field 7, set to true. */
const FRAGMENT = Buffer.from([0x38, 1]);

/** `watch_id` as a field; empty for 0. */
export function watchIdField(id: bigint): Buffer {
  if (id === 0n) return EMPTY;
  const field = Buffer.alloc(1 + bigVarintSize(id));
  field[0] = TAG_WATCH_ID;
  writeBigVarint(field, 1, id);
  return field;
}

/** A response without events, without its header. */
export function controlBody(fields: Partial<WatchResponse>): Buffer {
  return WatchResponse.encode(WatchResponse.create(fields));
}

/** The slices of one response and their total size. */
export interface ResponseParts {
  readonly parts: readonly Buffer[];
  readonly bytes: number;
}

/**
 * Splits events into responses that are smaller than `limit` bytes, except where one event alone is larger. All but
 * the last are marked as fragments. As in etcd, the size of each response includes the mark.
 *
 * @param head header and watch ID
 */
export function fragments(head: readonly Buffer[], batch: EventBatch, limit: number): ResponseParts[] {
  const headBytes = head.reduce((sum, { length }) => sum + length, 0);
  const whole = headBytes + batch.bytes;
  if (whole < limit || batch.fields.length < 2) return [{ parts: [...head, ...batch.parts], bytes: whole }];
  const marked = headBytes + FRAGMENT.length;
  const responses: ResponseParts[] = [];
  let parts = [...head, FRAGMENT];
  let bytes = marked;
  const add = (part: Buffer): void => {
    if (part.length === 0) return;
    parts.push(part);
    bytes += part.length;
  };
  const { fieldsPerPart } = batch;
  let field = 0;
  for (const [at, part] of batch.parts.entries()) {
    const end = field + (fieldsPerPart[at] ?? 0);
    let from = 0;
    // Only a part that does not fit as a whole is looked at field by field.
    if (bytes + part.length >= limit)
      for (let to = 0, next = field; next < end; next += 1) {
        const { length } = batch.fields[next] ?? EMPTY;
        if (bytes + to - from + length >= limit && bytes + to - from > marked) {
          add(part.subarray(from, to));
          responses.push({ parts, bytes });
          parts = [...head, FRAGMENT];
          bytes = marked;
          from = to;
        }
        to += length;
      }
    add(from === 0 ? part : part.subarray(from));
    field = end;
  }
  parts.splice(head.length, 1);
  responses.push({ parts, bytes: bytes - FRAGMENT.length });
  return responses;
}

const codeNames = new Map<GrpcCode, string>(
  Object.entries(GrpcCode).map(([name, code]): [GrpcCode, string] => [code, name]),
);

/**
 * The errors whose code a client may see when a watch is not permitted. Any other error is reported as
 * PermissionDenied.
 */
const reasons: ReadonlySet<string> = new Set([
  errors.InvalidAuthToken.message,
  errors.AuthOldRevision.message,
  errors.UserEmpty.message,
]);

/** The cancel reason of a watch that is not permitted: the text of a gRPC error as Go's library writes it. */
export function denialReason(error: EtcdError): string {
  const { code, message } = reasons.has(error.message) ? error : errors.PermissionDenied;
  return `rpc error: code = ${codeNames.get(code) ?? ''} desc = ${message}`;
}
