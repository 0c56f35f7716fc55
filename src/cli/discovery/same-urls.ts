import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { quote } from '../../config/go-syntax.ts';
import { splitHostPort } from '../../config/urls.ts';
import { reasonOf } from '../../lib/text.ts';
import type { Dns } from './dns.ts';

/** As etcd: time until a name must resolve, and pause between two attempts. */
export const RESOLVE_TIMEOUT_MS = 30_000;
const RETRY_MS = 1_000;

export interface Comparison {
  readonly dns: Dns;
  /** Milliseconds after which a name that does not resolve is an error. */
  readonly timeoutMs: number;
}

/**
 * Compares two lists of peer URLs. If the texts differ, host names are resolved, so that one list may have a host name
 * and the other its address. Returns undefined if they are equal, else the difference.
 */
export async function urlDifference(
  ours: readonly string[],
  theirs: readonly string[],
  comparison: Comparison,
): Promise<string | undefined> {
  if (ours.length !== theirs.length) return `len(${listed(ours)}) != len(${listed(theirs)})`;
  const [a, b] = [ours.toSorted(), theirs.toSorted()];
  if (firstDifference(a, b) === undefined) return undefined;
  const deadline = performance.now() + comparison.timeoutMs;
  const resolved: string[][] = [];
  for (const urls of [a, b]) {
    const addresses: string[] = [];
    for (const url of urls) {
      try {
        addresses.push(await resolvedUrl(url, comparison.dns, deadline));
      } catch (error) {
        return `failed to resolve ${quote(url)} (${reasonOf(error)})`;
      }
    }
    resolved.push(addresses.sort());
  }
  const pair = firstDifference(resolved[0] ?? [], resolved[1] ?? []);
  return pair === undefined ? undefined : `resolved urls: ${quote(pair[0])} != ${quote(pair[1])}`;
}

function firstDifference(a: readonly string[], b: readonly string[]): [string, string] | undefined {
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

/** Returns undefined for a unix socket, which needs no resolution. */
function partsOf(url: string): UrlParts | undefined {
  const [, scheme, authority, rest] = /^(https?):\/\/([^/?#]*)(.*)$/.exec(url) ?? [];
  const hostPort = authority === undefined ? undefined : splitHostPort(authority);
  if (scheme === undefined || rest === undefined || hostPort === undefined) return undefined;
  return { scheme, ...hostPort, rest };
}

/** Normalizes an IPv6 address, which can be written in several ways. */
function canonical(url: string): string {
  const parts = partsOf(url);
  return parts === undefined ? url : `${parts.scheme}://${joined(parts.host, parts.port)}${parts.rest}`;
}

function joined(host: string, port: string): string {
  if (isIP(host) !== 6) return `${host}:${port}`;
  return `${new URL(`http://[${host}]:1`).hostname}:${port}`;
}

/** As etcd, does not resolve `localhost`. */
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
