import type { IncomingMessage } from 'node:http';
import { GATEWAY_HEADER } from '../auth/identify.ts';

type Field = readonly [name: string, value: string];

const METADATA_PREFIX = 'grpc-metadata-';
const GATEWAY_PREFIX = 'grpcgateway-';
const BINARY_SUFFIX = '-bin';
/** Headers of HTTP itself. Handlers see them under other names. */
const PERMANENT = new Set([
  ...['accept', 'accept-charset', 'accept-language', 'accept-ranges', 'authorization', 'cache-control'],
  ...['content-type', 'cookie', 'date', 'expect', 'from', 'host', 'if-match', 'if-modified-since'],
  ...['if-none-match', 'if-schedule-tag-match', 'if-unmodified-since', 'max-forwards', 'origin', 'pragma'],
  ...['referer', 'user-agent', 'via', 'warning'],
]);
/** The other headers of a WebSocket handshake are not passed on. */
const HANDSHAKE_HEADERS = new Set(['origin', 'referer']);

/**
 * The metadata of the call for an HTTP request, as grpc-gateway makes it. `Authorization` is kept, `Grpc-Metadata-`
 * headers lose that prefix, and HTTP's own headers get another prefix.
 */
export function requestMetadata(request: IncomingMessage): Field[] {
  const { headers } = request;
  const fields = [acceptField(request)];
  for (const [name, given] of Object.entries(headers)) {
    const values = given === undefined ? [] : Array.isArray(given) ? given : [given];
    for (const value of values) {
      if (name === 'authorization') fields.push([name, value]);
      if (name.startsWith(METADATA_PREFIX)) fields.push([name.slice(METADATA_PREFIX.length), value]);
      else if (PERMANENT.has(name) && name !== 'accept') fields.push([GATEWAY_PREFIX + name, value]);
    }
  }
  return fields;
}

/** As `requestMetadata`, for a WebSocket. Its token arrives in other ways. */
export function socketMetadata(request: IncomingMessage): Field[] {
  const fields = [acceptField(request)];
  const authorization = socketAuthorization(request);
  if (authorization !== undefined)
    fields.push(['authorization', authorization], [`${GATEWAY_PREFIX}authorization`, authorization]);
  for (const name of HANDSHAKE_HEADERS) {
    const value = request.headers[name];
    if (typeof value === 'string') fields.push([GATEWAY_PREFIX + name, value]);
  }
  return fields;
}

/** The fault in the metadata of a request; undefined if there is none. */
export function metadataFault({ rawHeaders }: IncomingMessage): string | undefined {
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? '').toLowerCase();
    if (!name.startsWith(METADATA_PREFIX) || !name.endsWith(BINARY_SUFFIX)) continue;
    const illegal = illegalBase64(rawHeaders[at + 1] ?? '');
    if (illegal === undefined) continue;
    const shown = name.replace(/(^|-)[a-z]/g, (start) => start.toUpperCase());
    return `invalid binary header ${shown}: illegal base64 data at input byte ${illegal}`;
  }
  return undefined;
}

/** The token of the handshake, as the value of an Authorization header. */
function socketAuthorization({ headers }: IncomingMessage): string | undefined {
  const cookie = /(?:^|;\s*)token=([^;]*)/.exec(headers.cookie ?? '')?.[1];
  if (cookie !== undefined) return `Bearer ${cookie}`;
  const protocols = headers['sec-websocket-protocol'];
  if (protocols === undefined) return undefined;
  const at = protocols.indexOf('Bearer,');
  return at < 0 ? '' : `Bearer ${protocols.slice(at + 'Bearer,'.length).trim()}`;
}

/** Always the first field, so that no client can look like one that speaks gRPC itself. */
function acceptField({ headers }: IncomingMessage): Field {
  return [GATEWAY_HEADER, headers.accept ?? '*/*'];
}

/** The position of the first byte that is not base64, with or without padding; undefined if there is none. */
function illegalBase64(text: string): number | undefined {
  const body = text.length % 4 === 0 ? text.replace(/={1,2}$/, '') : text;
  const legal = /^[A-Za-z0-9+/]*/.exec(body)?.[0].length ?? 0;
  if (legal < body.length) return legal;
  return body.length % 4 === 1 ? body.length - 1 : undefined;
}
