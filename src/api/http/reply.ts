import type { IncomingMessage, ServerResponse } from 'node:http';

export type Headers = readonly (readonly [name: string, value: string])[];

/**
 * Ends the response as Go's server would: the handler's headers first, then Date and Content-Length, no
 * Connection header, and the body left out for HEAD.
 */
export function reply(response: ServerResponse, status: number, headers: Headers, body: string): void {
  start(response, status, headers);
  response.setHeader('Content-Length', Buffer.byteLength(body));
  response.end(body);
}

/** As `reply`, with a body in chunks, as Go sends what outgrows its buffer. */
export function replyChunked(response: ServerResponse, headers: Headers, body: string | Buffer): void {
  start(response, 200, headers);
  if (response.req.method === 'HEAD') response.end();
  else {
    response.write(body);
    response.end();
  }
}

function start(response: ServerResponse, status: number, headers: Headers): void {
  response.statusCode = status;
  response.sendDate = false;
  for (const [name, value] of headers) response.setHeader(name, value);
  response.setHeader('Date', new Date().toUTCString());
  // Go's server says nothing about a connection it keeps.
  response.removeHeader('Connection');
}

/** A plain-text error, with the newline Go's helper appends. */
export function replyError(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Headers = [],
): void {
  const own: Headers = [
    ...headers,
    ['Content-Type', 'text/plain; charset=utf-8'],
    ['X-Content-Type-Options', 'nosniff'],
  ];
  reply(response, status, own, `${text}\n`);
}

export function replyNotFound(response: ServerResponse): void {
  replyError(response, 404, '404 page not found');
}

/** Whether the method is GET; answers the request itself when it is not. */
export function allowsGet(request: IncomingMessage, response: ServerResponse): boolean {
  if (request.method === 'GET') return true;
  replyError(response, 405, 'Method Not Allowed', [['Allow', 'GET']]);
  return false;
}

/** Path and query of a request; the host plays no part. */
export function requestUrl(request: IncomingMessage): { path: string; query: URLSearchParams } {
  const target = request.url ?? '/';
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  return { path, query: new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1)) };
}
