import { isIP } from 'node:net';
import { FlagValueError, quote } from './go-syntax.ts';

/** One listen or advertise address. `unix` sockets have no port; their path is host and path joined. */
export interface EndpointUrl {
  readonly scheme: 'http' | 'https' | 'unix' | 'unixs';
  /** TLS is asked for. */
  readonly secure: boolean;
  /** Without the brackets of an IPv6 address. Empty in unix URLs. */
  readonly host: string;
  /** As written; a name or a number above 65535 fails when it is listened on. Empty in unix URLs. */
  readonly port: string;
  /** The socket file of a unix URL, else undefined. */
  readonly socketPath: string | undefined;
  /** The URL as etcd prints and compares it. */
  readonly text: string;
}

/**
 * Parses a comma-separated list, sorted by text as etcd keeps them.
 *
 * @throws FlagValueError with etcd's text
 */
export function parseUrlList(text: string): EndpointUrl[] {
  const urls = text.split(',').map((part) => parseEndpointUrl(part.trim()));
  return urls.sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0));
}

/** As `parseUrlList`, each URL once. */
export function parseUniqueUrls(text: string): EndpointUrl[] {
  const seen = new Set<string>();
  return parseUrlList(text).filter((url) => !seen.has(url.text) && seen.add(url.text));
}

function parseEndpointUrl(input: string): EndpointUrl {
  const colon = input.indexOf(':');
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(input)?.[1]?.toLowerCase() ?? '';
  checkGoUrl(input, scheme, colon);
  switch (scheme) {
    case 'http':
    case 'https':
      return parseTcpUrl(input, scheme, input.slice(colon + 1));
    case 'unix':
    case 'unixs':
      return unixUrl(scheme, input.slice(colon + 1));
    default:
      throw new FlagValueError(`URL scheme must be http, https, unix, or unixs: ${input}`);
  }
}

/** The faults Go's own URL parser finds before etcd looks at the parts. */
function checkGoUrl(input: string, scheme: string, colon: number): void {
  const fail = (fault: string): never => {
    throw new FlagValueError(`parse ${quote(input)}: ${fault}`);
  };
  if (/[\u0000-\u001f\u007f]/.test(input)) fail('net/url: invalid control character in URL');
  if (scheme !== '' || colon < 0) return;
  if (colon === 0) fail('missing protocol scheme');
  const slash = input.indexOf('/');
  if (slash < 0 || colon < slash) fail('first path segment in URL cannot contain colon');
}

function parseTcpUrl(input: string, scheme: 'http' | 'https', rest: string): EndpointUrl {
  const authority = rest.startsWith('//') ? (/^[^/?#]*/.exec(rest.slice(2))?.[0] ?? '') : '';
  const tail = rest.startsWith('//') ? rest.slice(2 + authority.length) : rest;
  const address = authority.slice(authority.lastIndexOf('@') + 1);
  const parts = splitHostPort(address);
  const badPort = /:[^:\]]*[^0-9:\]][^:\]]*$/.exec(address)?.[0];
  if (badPort !== undefined && parts !== undefined) {
    throw new FlagValueError(`parse ${quote(input)}: invalid port ${quote(badPort)} after host`);
  }
  if (parts === undefined)
    throw new FlagValueError(`URL address does not have the form "host:port": ${input}`);
  if (/^[^?#]/.test(tail)) throw new FlagValueError(`URL must not contain a path: ${input}`);
  const text = `${scheme}://${authority}${tail}`;
  return {
    scheme,
    secure: scheme === 'https',
    host: parts.host,
    port: parts.port,
    socketPath: undefined,
    text,
  };
}

function unixUrl(scheme: 'unix' | 'unixs', rest: string): EndpointUrl {
  const socketPath = rest.startsWith('//') ? rest.slice(2) : rest;
  return { scheme, secure: scheme === 'unixs', host: '', port: '', socketPath, text: `${scheme}:${rest}` };
}

/** Undefined when the text is no `host:port`; an IPv6 address needs brackets, as in Go. */
export function splitHostPort(address: string): { host: string; port: string } | undefined {
  const bracketed = /^\[([^\]]*)\]:([^:]*)$/.exec(address);
  if (bracketed !== null) return { host: bracketed[1] ?? '', port: bracketed[2] ?? '' };
  const plain = /^([^:[\]]*):([^:]*)$/.exec(address);
  return plain === null ? undefined : { host: plain[1] ?? '', port: plain[2] ?? '' };
}

/** Listening needs an address; a name could mean several. Localhost is let through. */
export function bindUrlFault(urls: readonly EndpointUrl[]): string | undefined {
  for (const url of urls) {
    if (url.socketPath !== undefined || url.host === 'localhost') continue;
    if (isIP(url.host) === 0) return `expected IP in URL for binding (${url.text})`;
  }
  return undefined;
}

/** Advertised URLs must name a host. */
export function advertisedUrlFault(urls: readonly EndpointUrl[]): string | undefined {
  const empty = urls.find((url) => url.socketPath === undefined && url.host === '');
  return empty === undefined ? undefined : `unexpected empty host (${empty.text})`;
}

export function urlTexts(urls: readonly EndpointUrl[]): string[] {
  return urls.map((url) => url.text);
}
