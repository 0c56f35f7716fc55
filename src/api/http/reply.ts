import type { IncomingMessage, ServerResponse } from 'node:http';

export type Headers = readonly (readonly [name: string, value: string])[];

/**
 * Ends the response as Go's server does: first the handler's headers, then Date and Content-Length. There is no
 * Connection header, and HEAD has no body.
 */
export function reply(response: ServerResponse, status: number, headers: Headers, body: string): void {
  setHead(response, status, headers);
  response.setHeader('Content-Length', Buffer.byteLength(body));
  response.end(body);
}

/** As `reply`, with the body in chunks, as Go sends a body that is larger than its buffer. */
export function replyChunked(response: ServerResponse, headers: Headers, body: string | Buffer): void {
  setHead(response, 200, headers);
  if (response.req.method === 'HEAD') response.end();
  else {
    response.write(body);
    response.end();
  }
}

/** Sets the head of a response except the headers that say where the body ends. */
export function setHead(response: ServerResponse, status: number, headers: Headers): void {
  response.statusCode = status;
  response.sendDate = false;
  for (const [name, value] of headers) response.setHeader(name, value);
  response.setHeader('Date', new Date().toUTCString());
  // Go's server sends no Connection header if the connection stays open.
  if (response.shouldKeepAlive) response.removeHeader('Connection');
  else response.setHeader('Connection', 'close');
}

/** A plain-text error with a newline, as Go's helper writes it. */
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

/** The answer to an invalid request line. The rest of the connection is not read. */
export function replyBadRequest(response: ServerResponse): void {
  response.shouldKeepAlive = false;
  reply(response, 400, [['Content-Type', 'text/plain; charset=utf-8']], '400 Bad Request');
}

/** Redirects the client to another path with the same method. */
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

/** Whether the method is GET. If it is not, this answers the request. */
export function allowsGet(request: IncomingMessage, response: ServerResponse): boolean {
  if (request.method === 'GET') return true;
  replyError(response, 405, 'Method Not Allowed', [['Allow', 'GET']]);
  return false;
}

/** The path and the query of a request. The host is not used. */
export function requestUrl(request: IncomingMessage): { path: string; query: URLSearchParams } {
  const target = request.url ?? '/';
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  return { path, query: new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1)) };
}
