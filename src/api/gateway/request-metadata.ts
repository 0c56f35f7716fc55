import type { IncomingMessage } from 'node:http';
import { GATEWAY_MARK } from '../auth/identify.ts';

type Field = readonly [name: string, value: string];

const METADATA_PREFIX = 'grpc-metadata-';
const MARK_PREFIX = 'grpcgateway-';
/** Headers of HTTP itself, which handlers see under names of their own. */
const PERMANENT = new Set([
  ...['accept', 'accept-charset', 'accept-language', 'accept-ranges', 'authorization', 'cache-control'],
  ...['content-type', 'cookie', 'date', 'expect', 'from', 'host', 'if-match', 'if-modified-since'],
  ...['if-none-match', 'if-schedule-tag-match', 'if-unmodified-since', 'max-forwards', 'origin', 'pragma'],
  ...['referer', 'user-agent', 'via', 'warning'],
]);

/**
 * The metadata of a call made for an HTTP request, as grpc-gateway makes it: `Authorization` as it is, `Grpc-Metadata-`
 * headers without that prefix, and HTTP's own with another.
 */
export function requestMetadata(request: IncomingMessage): Field[] {
  const { headers } = request;
  // First and always, so that no client can pass for one that speaks gRPC itself.
  const fields: Field[] = [[GATEWAY_MARK, headers.accept ?? '*/*']];
  for (const [name, given] of Object.entries(headers)) {
    const values = given === undefined ? [] : Array.isArray(given) ? given : [given];
    for (const value of values) {
      if (name === 'authorization') fields.push([name, value]);
      if (name.startsWith(METADATA_PREFIX)) fields.push([name.slice(METADATA_PREFIX.length), value]);
      else if (PERMANENT.has(name) && name !== 'accept') fields.push([MARK_PREFIX + name, value]);
    }
  }
  return fields;
}
