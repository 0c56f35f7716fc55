import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Headers } from './reply.ts';

export interface AccessRules {
  /** `*` allows all origins, as does an empty list. */
  readonly corsOrigins: readonly string[];
  /** `*` allows all hosts, as does an empty list. */
  readonly hostWhitelist: readonly string[];
}

/** Adds the headers that let a browser page of an allowed origin call. */
export function addCorsHeaders(
  request: IncomingMessage,
  response: ServerResponse,
  { corsOrigins }: AccessRules,
): void {
  const origin = request.headers.origin ?? '';
  const all = corsOrigins.length === 0 || corsOrigins.includes('*');
  if (!all && !corsOrigins.includes(origin)) return;
  const headers: Headers = [
    ['Access-Control-Allow-Headers', 'accept, content-type, authorization'],
    ['Access-Control-Allow-Methods', 'POST, GET, OPTIONS, PUT, DELETE'],
    ['Access-Control-Allow-Origin', all ? '*' : origin],
  ];
  for (const [name, value] of headers) response.setHeader(name, value);
}

/**
 * The host name of a plain HTTP request that is not allowed; undefined if it is allowed. A web page could have
 * pointed that name here (DNS rebinding, CVE-2018-5702).
 */
export function refusedHost(request: IncomingMessage, { hostWhitelist }: AccessRules): string | undefined {
  if (hostWhitelist.length === 0 || hostWhitelist.includes('*')) return undefined;
  if ('encrypted' in request.socket && request.socket.encrypted === true) return undefined;
  const host = hostName(request.headers.host ?? '');
  return hostWhitelist.includes(host) ? undefined : host;
}

function hostName(host: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d*)?$/.exec(host)?.[1];
  return bracketed ?? host.replace(/:\d*$/, '');
}

/** The response text for a refused host name. */
export function refusedHostText(host: string): string {
  return [
    `Host ${JSON.stringify(host)} is not allowed for plain HTTP requests to this server.`,
    'Use TLS, or start the server with this name in --host-whitelist.',
  ].join('\n');
}
