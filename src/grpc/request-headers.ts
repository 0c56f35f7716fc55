import { type HeaderField, HeaderToken } from '../http2/header-field.ts';
import { illegalBase64At } from './metadata.ts';
import { PLAIN_CONTENT_TYPE } from './response-blocks.ts';
import { Status } from './status.ts';
import { parseTimeout } from './timeout.ts';

/** Why a request is refused: HTTP status and gRPC status, as in grpc-go. */
export interface Refusal {
  readonly httpStatus: number;
  readonly code: number;
  readonly message: string;
}

/** The headers that a call needs. One object is reused, so the caller must copy what it keeps. */
export interface RequestHeaders {
  contentType: string;
  /** Milliseconds, or -1 for none. */
  timeoutMs: number;
  /** The value of `grpc-encoding`; empty if absent. */
  encoding: string;
  /** The value of `client-api-version`; empty if absent. */
  clientVersion: string;
}

/** `application/grpc`, alone or with a suffix or parameters. */
function isGrpcContentType(value: string): boolean {
  if (value === PLAIN_CONTENT_TYPE) return true;
  if (!value.startsWith(PLAIN_CONTENT_TYPE)) return false;
  const next = value.charAt(PLAIN_CONTENT_TYPE.length);
  return next === '' || next === '+' || next === ';';
}

/** The content type of the response: a `+subtype` is kept. */
function echoedContentType(value: string): string {
  if (value === PLAIN_CONTENT_TYPE) return value;
  return value.charAt(PLAIN_CONTENT_TYPE.length) === '+' ? value : PLAIN_CONTENT_TYPE;
}

/** Reads the headers that gRPC needs into `out`. @returns why the request is refused, if it is */
export function readRequestHeaders(
  fields: readonly HeaderField[],
  method: string,
  out: RequestHeaders,
): Refusal | undefined {
  out.contentType = '';
  out.timeoutMs = -1;
  out.encoding = '';
  out.clientVersion = '';
  let rejectedContentType = '';
  let headerFault = '';
  let hosts = 0;
  for (const field of fields) {
    switch (field.token) {
      case HeaderToken.CONTENT_TYPE:
        if (isGrpcContentType(field.value)) out.contentType = echoedContentType(field.value);
        else rejectedContentType = field.value;
        break;
      case HeaderToken.GRPC_TIMEOUT: {
        const timeout = parseTimeout(field.value);
        if (typeof timeout === 'number') out.timeoutMs = timeout;
        else headerFault = `malformed grpc-timeout: ${timeout}`;
        break;
      }
      case HeaderToken.GRPC_ENCODING:
        out.encoding = field.value;
        break;
      case HeaderToken.CLIENT_API_VERSION:
        out.clientVersion = field.value;
        break;
      case HeaderToken.HOST:
        hosts++;
        break;
      case HeaderToken.BINARY_METADATA: {
        const at = illegalBase64At(field.value);
        if (at < 0) break;
        const where = `${JSON.stringify(field.value)} in header ${JSON.stringify(field.name)}`;
        headerFault = `malformed binary metadata ${where}: illegal base64 data at input byte ${at}`;
        break;
      }
      default:
    }
  }
  if (hosts > 1) {
    const message = `num values of :authority: 1, num values of host: ${hosts}, both must only have 1 value as per HTTP/2 spec`;
    return { httpStatus: 400, code: Status.INTERNAL, message };
  }
  if (out.contentType === '') {
    const message = `invalid gRPC request content-type ${JSON.stringify(rejectedContentType)}`;
    return { httpStatus: 415, code: Status.INVALID_ARGUMENT, message };
  }
  if (headerFault !== '') return { httpStatus: 400, code: Status.INTERNAL, message: headerFault };
  if (method !== 'POST') {
    const message = `Received a HEADERS frame with :method ${JSON.stringify(method)} which should be POST`;
    return { httpStatus: 405, code: Status.INTERNAL, message };
  }
  if (out.timeoutMs === 0) {
    return { httpStatus: 200, code: Status.DEADLINE_EXCEEDED, message: 'context deadline exceeded' };
  }
  return undefined;
}
