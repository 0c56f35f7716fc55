import type { IncomingHttpHeaders } from 'node:http';
import { hex } from '../lib/text.ts';

/** Oldest cluster version that this release can be part of. */
export const MIN_CLUSTER_VERSION = '3.0.0';

/** The assumed version of releases without these headers. */
const ANCIENT = '2.0.0';

/** Releases from this one on have both kinds of streams. */
const FIRST_WITH_STREAMS = '2.1.0';

/** Answers with status 412; the other side compares the text. */
export const Refusal = {
  Version: 'incompatible version',
  Cluster: 'cluster ID mismatch',
  Addressee: 'to field mismatch',
} as const;

/** Identity of this member, which it sends with every request. */
export interface Introduction {
  readonly localId: bigint;
  readonly clusterId: bigint;
  readonly serverVersion: string;
  /** Its peer URLs. */
  readonly urls: readonly string[];
}

export function introductionHeaders(introduction: Introduction): Record<string, string> {
  return {
    'X-Server-From': hex(introduction.localId),
    'X-Server-Version': introduction.serverVersion,
    'X-Min-Cluster-Version': MIN_CLUSTER_VERSION,
    'X-Etcd-Cluster-ID': hex(introduction.clusterId),
    'X-PeerURLs': introduction.urls.join(','),
  };
}

/** The first of possibly several values. */
export function header(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** Why a request of another member is refused; undefined if it is accepted. */
export function refusalOf(headers: IncomingHttpHeaders, local: Introduction): string | undefined {
  const server = versionOf(header(headers, 'x-server-version'));
  const minCluster = versionOf(header(headers, 'x-min-cluster-version'));
  if (server === undefined || minCluster === undefined) return Refusal.Version;
  const own = versionOf(local.serverVersion) ?? 0;
  const ownMinimum = versionOf(MIN_CLUSTER_VERSION) ?? 0;
  if (server < ownMinimum || minCluster > own) return Refusal.Version;
  if (header(headers, 'x-etcd-cluster-id') !== hex(local.clusterId)) return Refusal.Cluster;
  return undefined;
}

/** Whether a member that responds with these headers supports streams. */
export function hasStreams(headers: IncomingHttpHeaders): boolean {
  const server = versionOf(header(headers, 'x-server-version'));
  return server !== undefined && server >= (versionOf(FIRST_WITH_STREAMS) ?? 0);
}

/** Major and minor version as one number to compare by. */
function versionOf(text: string | undefined): number | undefined {
  const match = /^(\d{1,6})\.(\d{1,6})\.\d+/.exec(text === undefined || text === '' ? ANCIENT : text);
  return match === null ? undefined : Number(match[1]) * 1_000_000 + Number(match[2]);
}
