import { isIP } from 'node:net';
import { FlagValueError } from './go-syntax.ts';
import { parseGoUrl } from './go-url.ts';

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
  return parseUrls(text.split(','));
}

/**
 * Parses URLs of which each is a text of its own, sorted by their normal forms as etcd keeps them.
 *
 * @throws FlagValueError with etcd's text
 */
export function parseUrls(texts: readonly string[]): EndpointUrl[] {
  const urls = texts.map((text) => parseEndpointUrl(text.trim()));
  return urls.sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0));
}

/** As `parseUrlList`, each URL once. */
export function parseUniqueUrls(text: string): EndpointUrl[] {
  const seen = new Set<string>();
  return parseUrlList(text).filter((url) => !seen.has(url.text) && seen.add(url.text));
}

function parseEndpointUrl(input: string): EndpointUrl {
  const url = parseGoUrl(input);
  const { scheme, text } = url;
  switch (scheme) {
    case 'http':
    case 'https': {
      const place = splitHostPort(url.host);
      if (place === undefined)
        throw new FlagValueError(`URL address does not have the form "host:port": ${input}`);
      if (url.path !== '') throw new FlagValueError(`URL must not contain a path: ${input}`);
      return { scheme, secure: scheme === 'https', ...place, socketPath: undefined, text };
    }
    case 'unix':
    case 'unixs': {
      const socketPath = url.opaque === '' ? url.host + url.path : url.opaque;
      return { scheme, secure: scheme === 'unixs', host: '', port: '', socketPath, text };
    }
    default:
      throw new FlagValueError(`URL scheme must be http, https, unix, or unixs: ${input}`);
  }
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
