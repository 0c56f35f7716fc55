import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { quote } from '../../config/go-syntax.ts';
import { splitHostPort } from '../../config/urls.ts';
import { reasonOf } from '../../lib/text.ts';
import type { Dns } from './dns.ts';

/** As etcd: time for a name to become known, and between two questions for it. */
export const RESOLVE_TIMEOUT_MS = 30_000;
const RETRY_MS = 1_000;

export interface Comparison {
  readonly dns: Dns;
  /** Milliseconds after which a name that cannot be resolved is given up. */
  readonly timeoutMs: number;
}

/**
 * Whether two lists of peer URLs mean the same places; names are resolved where the texts differ, so that one list
 * may hold a host's name and the other its address. Returns undefined when they do, else why not.
 */
export async function urlDifference(
  ours: readonly string[],
  theirs: readonly string[],
  comparison: Comparison,
): Promise<string | undefined> {
  if (ours.length !== theirs.length) return `len(${listed(ours)}) != len(${listed(theirs)})`;
  const [a, b] = [ours.toSorted(), theirs.toSorted()];
  if (firstUnlike(a, b) === undefined) return undefined;
  const deadline = performance.now() + comparison.timeoutMs;
  const resolved: string[][] = [];
  for (const urls of [a, b]) {
    const places: string[] = [];
    for (const url of urls) {
      try {
        places.push(await resolvedUrl(url, comparison.dns, deadline));
      } catch (error) {
        return `failed to resolve ${quote(url)} (${reasonOf(error)})`;
      }
    }
    resolved.push(places.sort());
  }
  const unlike = firstUnlike(resolved[0] ?? [], resolved[1] ?? []);
  return unlike === undefined ? undefined : `resolved urls: ${quote(unlike[0])} != ${quote(unlike[1])}`;
}

function firstUnlike(a: readonly string[], b: readonly string[]): [string, string] | undefined {
  for (const [at, url] of a.entries()) {
    const other = b[at] ?? '';
    if (canonical(url) !== canonical(other)) return [url, other];
  }
  return undefined;
}

interface UrlParts {
  readonly scheme: string;
  readonly host: string;
  readonly port: string;
  readonly rest: string;
}

/** Undefined for a unix socket, which is a place by itself. */
function partsOf(url: string): UrlParts | undefined {
  const [, scheme, authority, rest] = /^(https?):\/\/([^/?#]*)(.*)$/.exec(url) ?? [];
  const place = authority === undefined ? undefined : splitHostPort(authority);
  if (scheme === undefined || rest === undefined || place === undefined) return undefined;
  return { scheme, ...place, rest };
}

/** One address has several spellings. */
function canonical(url: string): string {
  const parts = partsOf(url);
  return parts === undefined ? url : `${parts.scheme}://${joined(parts.host, parts.port)}${parts.rest}`;
}

function joined(host: string, port: string): string {
  if (isIP(host) !== 6) return `${host}:${port}`;
  return `${new URL(`http://[${host}]:1`).hostname}:${port}`;
}

/** As etcd, `localhost` is left as it is. */
async function resolvedUrl(url: string, dns: Dns, deadline: number): Promise<string> {
  const parts = partsOf(url);
  if (parts === undefined || parts.host === 'localhost') return url;
  for (;;) {
    try {
      const address = await dns.address(parts.host);
      return `${parts.scheme}://${joined(address, parts.port)}${parts.rest}`;
    } catch (error) {
      if (performance.now() + RETRY_MS > deadline) throw error;
      await sleep(RETRY_MS);
    }
  }
}

function listed(urls: readonly string[]): string {
  return `[${urls.map(quote).join(' ')}]`;
}
