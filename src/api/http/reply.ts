import type { IncomingMessage, ServerResponse } from 'node:http';

export type Headers = readonly (readonly [name: string, value: string])[];

/**
 * Ends the response as Go's server would: the handler's headers first, then Date and Content-Length, no
 * Connection header, and the body left out for HEAD.
 */
export function reply(response: ServerResponse, status: number, headers: Headers, body: string): void {
  setHead(response, status, headers);
  response.setHeader('Content-Length', Buffer.byteLength(body));
  response.end(body);
}

/** As `reply`, with a body in chunks, as Go sends what outgrows its buffer. */
export function replyChunked(response: ServerResponse, headers: Headers, body: string | Buffer): void {
  setHead(response, 200, headers);
  if (response.req.method === 'HEAD') response.end();
  else {
    response.write(body);
    response.end();
  }
}

/** Everything of a response's head but what says where its body ends. */
export function setHead(response: ServerResponse, status: number, headers: Headers): void {
  response.statusCode = status;
  response.sendDate = false;
  for (const [name, value] of headers) response.setHeader(name, value);
  response.setHeader('Date', new Date().toUTCString());
  // Go's server says nothing about a connection it keeps.
  if (response.shouldKeepAlive) response.removeHeader('Connection');
  else response.setHeader('Connection', 'close');
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

/** To a request line that cannot be read; nothing more is read of its connection. */
export function replyBadRequest(response: ServerResponse): void {
  response.shouldKeepAlive = false;
  reply(response, 400, [['Content-Type', 'text/plain; charset=utf-8']], '400 Bad Request');
}

/** Sends the client to the same place by another path, by the method it used. */
export function replyRedirect(response: ServerResponse, path: string): void {
  const target = response.req.url ?? '';
  const mark = target.indexOf('?');
  const location = encodeURI(path) + (mark < 0 ? '' : target.slice(mark));
  const { method } = response.req;
  const isRead = method === 'GET' || method === 'HEAD';
  const shown = location.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
  const type = isRead ? ([['Content-Type', 'text/html; charset=utf-8']] as const) : [];
  const body = `<a href="${shown}">Temporary Redirect</a>.\n\n`;
  reply(response, 307, [...type, ['Location', location]], isRead ? body : '');
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
