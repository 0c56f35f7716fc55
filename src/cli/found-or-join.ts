import type { Config, InitialCluster } from '../config/config.ts';
import { bootstrapFault } from '../config/initial-cluster.ts';
import { urlTexts } from '../config/urls.ts';
import type { Logger } from '../ports/logger.ts';
import type { PeerClient, RemoteMember } from '../ports/peer-client.ts';
import { type Founding, foundCluster } from '../server/identity.ts';
import type { Dns } from './discovery/dns.ts';
import { type InitialMembers, initialMembers, registeredMembers } from './discovery/initial-members.ts';
import { RESOLVE_TIMEOUT_MS, urlDifference } from './discovery/same-urls.ts';
import { StartError } from './start-error.ts';

const ASK_TIMEOUT_MS = 5_000;

export interface FoundingOptions {
  readonly config: Config;
  readonly client: PeerClient;
  readonly dns: Dns;
  readonly logger: Logger;
}

/** The identity of a member that has no data yet: one of a new cluster, or one that another cluster has added. */
export async function foundOrJoin(options: FoundingOptions): Promise<Founding> {
  const { config, client, dns, logger } = options;
  const { name, initialClusterState, discovery } = config;
  const found = await initialMembers(config, dns, logger);
  await verify(options, found.cluster);
  if (initialClusterState === 'existing') {
    if (discovery !== undefined)
      throw new StartError('discovery URL should not be set when joining existing initial cluster');
    return join(options, found.cluster);
  }
  const members = await registeredMembers(config, found, logger);
  const founded = foundCluster(name, members.cluster, members.token);
  if (discovery === undefined && members.cluster.size > 1)
    await refuseBootstrapped(config, members, { client, founded });
  return founded;
}

async function verify({ config, dns }: FoundingOptions, cluster: InitialCluster): Promise<void> {
  const own = cluster.get(config.name);
  const difference =
    own === undefined || config.initialClusterState === 'existing'
      ? undefined
      : await urlDifference(urlTexts(config.advertisePeerUrls), own, { dns, timeoutMs: RESOLVE_TIMEOUT_MS });
  const fault = bootstrapFault({ ...config, initialCluster: cluster }, difference);
  if (fault !== undefined) throw new StartError(fault);
}

function othersUrls(name: string, cluster: InitialCluster): string[] {
  return [...cluster].flatMap(([member, urls]) => (member === name ? [] : urls));
}

/** A member that lost its data must not found its cluster a second time. */
async function refuseBootstrapped(
  { name }: Config,
  { cluster }: InitialMembers,
  { client, founded }: { readonly client: PeerClient; readonly founded: Founding },
): Promise<void> {
  const running = await client.cluster(othersUrls(name, cluster), ASK_TIMEOUT_MS / 5).catch(() => undefined);
  const known = running?.members.find(({ id }) => id === founded.memberId);
  if (known !== undefined && known.clientUrls.length > 0)
    throw new StartError(`member ${founded.memberId.toString(16)} has already been bootstrapped`);
}

async function join(
  { config, client, dns, logger }: FoundingOptions,
  initial: InitialCluster,
): Promise<Founding> {
  const { name } = config;
  const cluster = await client.cluster(othersUrls(name, initial), ASK_TIMEOUT_MS).catch((error: unknown) => {
    throw new StartError(
      `cannot fetch cluster info from peer urls: ${error instanceof Error ? error.message : String(error)}`,
    );
  });
  if (cluster.members.length !== initial.size)
    throw new StartError(
      'error validating peerURLs: member count is unequal ' +
        `(${initial.size} in --initial-cluster, ${cluster.members.length} in the cluster)`,
    );
  let local: RemoteMember | undefined;
  const unmatched = [...cluster.members];
  for (const [member, memberUrls] of initial) {
    const at = await indexOf(unmatched, memberUrls, dns);
    const found = at < 0 ? undefined : unmatched.splice(at, 1)[0];
    if (found === undefined)
      throw new StartError(
        `error validating peerURLs: unmatched member while checking PeerURLs (${member}: ${memberUrls.join(',')})`,
      );
    if (member === name) local = found;
  }
  if (local === undefined) throw new StartError(`couldn't find local name "${name}" in the cluster`);
  logger.info('joining a running cluster', { members: cluster.members.length });
  return {
    memberId: local.id,
    clusterId: cluster.clusterId,
    founders: [],
    remotes: cluster.members.filter(({ id }) => id !== local.id),
  };
}

/** Which member has these URLs, by their texts or else by what they resolve to; -1 for none. */
async function indexOf(members: readonly RemoteMember[], urls: readonly string[], dns: Dns): Promise<number> {
  const sorted = [...urls].sort().join();
  const exact = members.findIndex(({ peerUrls }) => [...peerUrls].sort().join() === sorted);
  if (exact >= 0) return exact;
  for (const [at, { peerUrls }] of members.entries()) {
    const difference = await urlDifference(peerUrls, urls, { dns, timeoutMs: ASK_TIMEOUT_MS });
    if (difference === undefined) return at;
  }
  return -1;
}
