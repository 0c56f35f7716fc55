import { encodeStatic, type HeaderPair } from '../http2/hpack-encoder.ts';
import type { ResponseShape } from '../http2/stream.ts';
import { encodeStatusMessage } from './status.ts';

export const PLAIN_CONTENT_TYPE = 'application/grpc';

/** Header blocks of most responses, in the order of the numbers below. */
export const TEMPLATES: readonly (readonly HeaderPair[])[] = [
  [
    [':status', '200'],
    ['content-type', PLAIN_CONTENT_TYPE],
  ],
  [['grpc-status', '0']],
  [
    [':status', '200'],
    ['content-type', PLAIN_CONTENT_TYPE],
    ['grpc-encoding', 'gzip'],
  ],
];
export const HEADERS_TEMPLATE = 0;
export const OK_TRAILERS_TEMPLATE = 1;
export const GZIP_HEADERS_TEMPLATE = 2;

export const PLAIN_RESPONSE: ResponseShape = { headers: HEADERS_TEMPLATE, trailers: OK_TRAILERS_TEMPLATE };

/** Response headers for a request whose content type had a suffix (`application/grpc+proto`), which is echoed. */
export function headersBlock({ contentType, gzip }: { contentType: string; gzip: boolean }): Buffer | number {
  if (contentType === PLAIN_CONTENT_TYPE) return gzip ? GZIP_HEADERS_TEMPLATE : HEADERS_TEMPLATE;
  const headers: HeaderPair[] = [
    [':status', '200'],
    ['content-type', contentType],
  ];
  if (gzip) headers.push(['grpc-encoding', 'gzip']);
  return encodeStatic(headers);
}

export function trailersBlock(code: number, message: string): Buffer | number {
  if (code === 0 && message === '') return OK_TRAILERS_TEMPLATE;
  return encodeStatic([
    ['grpc-status', String(code)],
    ['grpc-message', encodeStatusMessage(message)],
  ]);
}

/** A response with only headers, for calls that end before any message. */
export function trailersOnlyBlock(
  status: { code: number; message: string },
  { contentType = PLAIN_CONTENT_TYPE, httpStatus = 200 } = {},
): Buffer {
  return encodeStatic([
    [':status', String(httpStatus)],
    ['content-type', contentType],
    ['grpc-status', String(status.code)],
    ['grpc-message', encodeStatusMessage(status.message)],
  ]);
}
