import { isIP } from 'node:net';
import { FlagValueError } from './go-syntax.ts';
import { parseGoUrl } from './go-url.ts';

/** One listen or advertise URL. The path of a unix socket is the URL's host and path joined. */
export interface EndpointUrl {
  readonly scheme: 'http' | 'https' | 'unix' | 'unixs';
  /** True for TLS. */
  readonly secure: boolean;
  /** Without the brackets of an IPv6 address. Empty in unix URLs. */
  readonly host: string;
  /** As written. A name or a number above 65535 fails only when the listener starts. Empty in unix URLs. */
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
 * Parses a list of URLs, sorted by their normal forms as etcd keeps them.
 *
 * @throws FlagValueError with etcd's text
 */
export function parseUrls(texts: readonly string[]): EndpointUrl[] {
  const urls = texts.map((text) => parseEndpointUrl(text.trim()));
  return urls.sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0));
}

/** Whether two lists have the same URLs, in any order. */
export function areSameUrls(a: readonly string[], b: readonly string[]): boolean {
  return a.toSorted().join() === b.toSorted().join();
}

/** As `parseUrlList`, without duplicates. */
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
      const hostPort = splitHostPort(url.host);
      if (hostPort === undefined)
        throw new FlagValueError(`URL address does not have the form "host:port": ${input}`);
      if (url.path !== '') throw new FlagValueError(`URL must not contain a path: ${input}`);
      return { scheme, secure: scheme === 'https', ...hostPort, socketPath: undefined, text };
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

/** @returns undefined when the text is not `host:port`; an IPv6 address needs brackets, as in Go */
export function splitHostPort(address: string): { host: string; port: string } | undefined {
  const bracketed = /^\[([^\]]*)\]:([^:]*)$/.exec(address);
  if (bracketed !== null) return { host: bracketed[1] ?? '', port: bracketed[2] ?? '' };
  const plain = /^([^:[\]]*):([^:]*)$/.exec(address);
  return plain === null ? undefined : { host: plain[1] ?? '', port: plain[2] ?? '' };
}

/** A listen URL must have an IP address, since a host name can have several. `localhost` is allowed. */
export function bindUrlFault(urls: readonly EndpointUrl[]): string | undefined {
  for (const url of urls) {
    if (url.socketPath !== undefined || url.host === 'localhost') continue;
    if (isIP(url.host) === 0) return `expected IP in URL for binding (${url.text})`;
  }
  return undefined;
}

/** An advertise URL must have a host. */
export function advertisedUrlFault(urls: readonly EndpointUrl[]): string | undefined {
  const empty = urls.find((url) => url.socketPath === undefined && url.host === '');
  return empty === undefined ? undefined : `unexpected empty host (${empty.text})`;
}

export function urlTexts(urls: readonly EndpointUrl[]): string[] {
  return urls.map((url) => url.text);
}
