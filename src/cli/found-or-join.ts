import type { Config } from '../config/config.ts';
import { bootstrapFault } from '../config/initial-cluster.ts';
import type { Logger } from '../ports/logger.ts';
import type { PeerClient, RemoteMember } from '../ports/peer-client.ts';
import { type Founding, foundCluster } from '../server/identity.ts';
import { StartError } from './start-error.ts';

const ASK_TIMEOUT_MS = 5_000;

/** The identity of a member that has no data yet: one of a new cluster, or one that another cluster has added. */
export async function foundOrJoin(config: Config, client: PeerClient, logger: Logger): Promise<Founding> {
  const fault = bootstrapFault(config);
  if (fault !== undefined) throw new StartError(fault);
  const { name, initialCluster, initialClusterToken } = config;
  if (config.initialClusterState === 'existing') return join(config, client, logger);
  const founded = foundCluster(name, initialCluster, initialClusterToken);
  if (initialCluster.size > 1) await refuseBootstrapped(config, client, founded);
  return founded;
}

function othersUrls({ name, initialCluster }: Config): string[] {
  return [...initialCluster].flatMap(([member, urls]) => (member === name ? [] : urls));
}

/** A member that lost its data must not found its cluster a second time. */
async function refuseBootstrapped(config: Config, client: PeerClient, founded: Founding): Promise<void> {
  const running = await client.cluster(othersUrls(config), ASK_TIMEOUT_MS / 5).catch(() => undefined);
  const known = running?.members.find(({ id }) => id === founded.memberId);
  if (known !== undefined && known.clientUrls.length > 0)
    throw new StartError(`member ${founded.memberId.toString(16)} has already been bootstrapped`);
}

async function join(config: Config, client: PeerClient, logger: Logger): Promise<Founding> {
  const urls = othersUrls(config);
  const cluster = await client.cluster(urls, ASK_TIMEOUT_MS).catch((error: unknown) => {
    throw new StartError(
      `cannot fetch cluster info from peer urls: ${error instanceof Error ? error.message : String(error)}`,
    );
  });
  const { name, initialCluster } = config;
  if (cluster.members.length !== initialCluster.size)
    throw new StartError(
      'error validating peerURLs: member count is unequal ' +
        `(${initialCluster.size} in --initial-cluster, ${cluster.members.length} in the cluster)`,
    );
  let local: RemoteMember | undefined;
  const unmatched = [...cluster.members];
  for (const [member, memberUrls] of initialCluster) {
    const at = unmatched.findIndex(({ peerUrls }) => sameUrls(peerUrls, memberUrls));
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

function sameUrls(a: readonly string[], b: readonly string[]): boolean {
  return [...a].sort().join() === [...b].sort().join();
}
