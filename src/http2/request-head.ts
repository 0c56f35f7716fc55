import { type HeaderField, HeaderToken } from './header-field.ts';

/** The pseudo-header fields of a request, and its content length. */
export interface RequestHead {
  method: string;
  scheme: string;
  authority: string;
  path: string;
  /** -1 if absent. */
  contentLength: number;
}

const GRPC_CONTENT_TYPE = 'application/grpc';

/**
 * Fills `head` from a decoded header list. False if the request is malformed in the sense of RFC 9113 section 8.1.1:
 * pseudo fields missing, repeated, unknown or late, names or values with forbidden bytes, connection-specific fields.
 * A gRPC request may lack pseudo fields, which then are empty, and may have any `te`: grpc-go takes that, and answers
 * what it misses.
 */
export function readRequestHead(fields: readonly HeaderField[], head: RequestHead): boolean {
  let seen = 0;
  let regular = false;
  let isGrpc = false;
  let teIsOdd = false;
  head.contentLength = -1;
  head.authority = '';
  for (const field of fields) {
    if (!field.valid) return false;
    const token = field.token;
    switch (token) {
      case HeaderToken.METHOD:
        head.method = field.value;
        break;
      case HeaderToken.SCHEME:
        head.scheme = field.value;
        break;
      case HeaderToken.AUTHORITY:
        head.authority = field.value;
        break;
      case HeaderToken.PATH:
        head.path = field.value;
        break;
      case HeaderToken.UNKNOWN_PSEUDO:
      case HeaderToken.CONNECTION_SPECIFIC:
        return false;
      case HeaderToken.TE:
        teIsOdd ||= field.value !== 'trailers';
        regular = true;
        continue;
      case HeaderToken.CONTENT_TYPE:
        isGrpc ||= field.value.startsWith(GRPC_CONTENT_TYPE);
        regular = true;
        continue;
      case HeaderToken.CONTENT_LENGTH:
        if (!/^\d{1,15}$/.test(field.value)) return false;
        if (head.contentLength >= 0 && head.contentLength !== Number(field.value)) return false;
        head.contentLength = Number(field.value);
        regular = true;
        continue;
      default:
        regular = true;
        continue;
    }
    const bit = 1 << token;
    if (regular || (seen & bit) !== 0) return false;
    seen |= bit;
  }
  if (isGrpc) return true;
  const required = (1 << HeaderToken.METHOD) | (1 << HeaderToken.SCHEME) | (1 << HeaderToken.PATH);
  return !teIsOdd && (seen & required) === required && head.path !== '';
}

/** Trailing fields may hold no pseudo field (RFC 9113 section 8.1). */
export function validTrailers(fields: readonly HeaderField[]): boolean {
  for (const field of fields) if (!field.valid || field.name.startsWith(':')) return false;
  return true;
}
