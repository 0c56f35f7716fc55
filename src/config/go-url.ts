import { isIPv4, isIPv6 } from 'node:net';
import { FlagValueError, quote } from './go-syntax.ts';

/** A URL as parsed by Go's `net/url`. The parser refuses the same texts as Go, and `text` is Go's normal form. */
export interface GoUrl {
  /** In lower case; empty when the URL has none. */
  readonly scheme: string;
  /** Host and port, unescaped. An IPv6 address is in brackets. */
  readonly host: string;
  /** Unescaped. */
  readonly path: string;
  /** The part after the scheme in a URL without slashes, such as `unix:name`. */
  readonly opaque: string;
  readonly text: string;
}

/** Characters that need no escape in each part of a URL, in addition to letters, digits and `-_.~`. */
const plain = {
  path: '$&+,/:;=@',
  host: '!"$&\'()*+,:;<=>[]',
  user: '$&+,;=',
  fragment: '!$&()*+,/:;=?@',
} as const;

type Part = keyof typeof plain;

/** More characters that Go leaves unescaped in a path or fragment when they were written unescaped. */
const TOLERATED_IN_PATH = "!'()*[]";

/**
 * Parses a URL by the rules of Go's `url.Parse` (Go 1.26).
 *
 * @throws FlagValueError with Go's text
 */
export function parseGoUrl(input: string): GoUrl {
  // An escape encodes one byte. So the parser works on bytes, one latin1 character each.
  const bytes = Buffer.from(input).toString('latin1');
  const hash = bytes.indexOf('#');
  const main = hash < 0 ? bytes : bytes.slice(0, hash);
  const fragment = hash < 0 ? '' : bytes.slice(hash + 1);
  const parsed = withGoError(main, () => parseMain(main));
  const fragmentText =
    fragment === '' ? '' : withGoError(bytes, () => `#${normalForm(fragment, 'fragment')}`);
  return {
    scheme: parsed.scheme,
    host: fromBytes(parsed.host),
    path: fromBytes(parsed.path),
    opaque: fromBytes(parsed.opaque),
    text: fromBytes(parsed.text + fragmentText),
  };
}

/** Adds Go's prefix with the whole URL to an error. */
function withGoError<T>(whole: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof FlagValueError)) throw error;
    throw new FlagValueError(`parse ${quote(fromBytes(whole))}: ${error.message}`);
  }
}

function parseMain(main: string): GoUrl {
  if (/[\u0000-\u001f\u007f]/.test(main))
    throw new FlagValueError('net/url: invalid control character in URL');
  const [, name] = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(main) ?? [];
  if (name === undefined && main.startsWith(':')) throw new FlagValueError('missing protocol scheme');
  const scheme = name?.toLowerCase() ?? '';
  const start = name === undefined ? '' : `${scheme}:`;
  const [rest, query] = cut(name === undefined ? main : main.slice(name.length + 1), '?');
  const end = query === undefined ? '' : `?${query}`;
  if (!rest.startsWith('/')) {
    if (name !== undefined) return { scheme, host: '', path: '', opaque: rest, text: start + rest + end };
    if (cut(rest, '/')[0].includes(':'))
      throw new FlagValueError('first path segment in URL cannot contain colon');
  }
  const hasAuthority = rest.startsWith('//') && (name !== undefined || !rest.startsWith('///'));
  const slash = hasAuthority ? rest.indexOf('/', 2) : 0;
  const authority = hasAuthority ? rest.slice(2, slash < 0 ? rest.length : slash) : '';
  const rawPath = hasAuthority && slash < 0 ? '' : rest.slice(slash);
  const { user, host } = parseAuthority(scheme, authority);
  const path = unescapePart(rawPath, 'path');
  const slashes = hasAuthority && (user !== '' || host !== '' || rawPath !== '') ? '//' : '';
  const text = start + slashes + user + escapePart(host, 'host') + normalForm(rawPath, 'path') + end;
  return { scheme, host, path, opaque: '', text };
}

/** `user` is in Go's normal form and includes the `@`. */
function parseAuthority(scheme: string, authority: string): { user: string; host: string } {
  const at = authority.lastIndexOf('@');
  const host = parseHost(scheme, authority.slice(at + 1));
  if (at < 0) return { user: '', host };
  const info = authority.slice(0, at);
  if (!/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(info)) throw new FlagValueError('net/url: invalid userinfo');
  const [name, password] = cut(info, ':');
  const parts = password === undefined ? [name] : [name, password];
  const normal = parts.map((part) => escapePart(unescapePart(part, 'user'), 'user'));
  return { user: `${normal.join(':')}@`, host };
}

function parseHost(scheme: string, host: string): string {
  const bracket = host.lastIndexOf('[');
  if (bracket > 0) throw new FlagValueError('invalid IP-literal');
  if (bracket === 0) return parseLiteral(host);
  const first = host.indexOf(':');
  if (first >= 0) {
    // The port follows the last colon. HTTP URLs may have only one colon.
    const isHttp = scheme === 'http' || scheme === 'https';
    checkPort(host.slice(isHttp ? first : host.lastIndexOf(':')));
  }
  return unescapePart(host, 'host');
}

function checkPort(colonPort: string): void {
  if (!/^(:[0-9]*)?$/.test(colonPort))
    throw new FlagValueError(`invalid port ${quote(fromBytes(colonPort))} after host`);
}

/** Parses an IPv6 address in brackets, with an optional zone and port. */
function parseLiteral(host: string): string {
  const close = host.lastIndexOf(']');
  if (close < 0) throw new FlagValueError("missing ']' in host");
  const port = host.slice(close + 1);
  checkPort(port);
  const inside = host.slice(1, close);
  const zoneAt = inside.indexOf('%25');
  const address =
    zoneAt < 0
      ? unescapePart(inside, 'host')
      : unescapePart(inside.slice(0, zoneAt), 'host') + unescapeZone(inside.slice(zoneAt));
  const [bare, zone] = cut(address, '%');
  if (isIPv4(address)) throw new FlagValueError('invalid IP-literal');
  if (!isIPv6(bare) || zone === '')
    throw new FlagValueError(`invalid host: ParseAddr(${quote(fromBytes(address))}): unable to parse IP`);
  return `[${address}]${port}`;
}

/** As Go's `strings.Cut`; the second part is undefined when there is no separator. */
function cut(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function isPlain(char: string, part: Part): boolean {
  return /[A-Za-z0-9\-_.~]/.test(char) || plain[part].includes(char);
}

function unescapePart(text: string, part: Part): string {
  return unescapeBytes(text, {
    // In a host, the percent sign is the only ASCII character that may be escaped.
    mayEscape: (char) => part !== 'host' || char >= '\u0080' || char === '%',
    mayBePlain: (char) => part !== 'host' || char >= '\u0080' || isPlain(char, 'host'),
  });
}

function unescapeZone(text: string): string {
  return unescapeBytes(text, {
    mayEscape: (char) => char === '%' || char === ' ' || isPlain(char, 'host'),
    mayBePlain: (char) => char >= '\u0080' || isPlain(char, 'host'),
  });
}

interface EscapeRules {
  readonly mayEscape: (char: string) => boolean;
  readonly mayBePlain: (char: string) => boolean;
}

function unescapeBytes(text: string, { mayEscape, mayBePlain }: EscapeRules): string {
  return text.replace(/%[0-9A-Fa-f]{2}|[^]/g, (found, at: number) => {
    if (found.length === 3) {
      const char = String.fromCharCode(Number.parseInt(found.slice(1), 16));
      if (!mayEscape(char)) throw new FlagValueError(`invalid URL escape ${quote(found)}`);
      return char;
    }
    if (found === '%')
      throw new FlagValueError(`invalid URL escape ${quote(fromBytes(text.slice(at, at + 3)))}`);
    if (!mayBePlain(found)) throw new FlagValueError(`invalid character ${quote(found)} in host name`);
    return found;
  });
}

function escapePart(text: string, part: Part): string {
  return text.replace(/[^]/g, (char) => (isPlain(char, part) ? char : escapeOf(char)));
}

function escapeOf(char: string): string {
  return `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

/** Keeps the text as written when all its characters are valid there; escapes it again otherwise. */
function normalForm(written: string, part: 'path' | 'fragment'): string {
  const unescaped = unescapePart(written, part);
  const isValid = written
    .split(/(?:)/)
    .every((char) => char === '%' || isPlain(char, part) || TOLERATED_IN_PATH.includes(char));
  return isValid ? written : escapePart(unescaped, part);
}

function fromBytes(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString();
}
