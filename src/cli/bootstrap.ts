import type { InitialCluster } from '../config/config.ts';
import { bootstrapFault } from '../config/initial-cluster.ts';
import { urlTexts } from '../config/urls.ts';
import type { RemoteCluster } from '../ports/peer-client.ts';
import { type BootstrapResult, bootstrapNewCluster } from '../server/identity.ts';
import { initialMembers, registeredMembers } from './discovery/initial-members.ts';
import { RESOLVE_TIMEOUT_MS, urlDifference } from './discovery/same-urls.ts';
import { joinCluster, type JoinOptions, othersUrls, runningCluster } from './join-cluster.ts';
import { certainCluster, rejoinCluster } from './rejoin-cluster.ts';
import { StartError } from './start-error.ts';

/** Running members answer at once, so a short timeout is enough. */
const REQUEST_TIMEOUT_MS = 1_000;

/** Determines the identity of a member without data, either in a new cluster or in a running one that has added it. */
export async function bootstrap(options: JoinOptions): Promise<BootstrapResult> {
  const { config, client, dns, logger } = options;
  const { name, initialClusterState, discovery } = config;
  const found = await initialMembers(config, dns, logger);
  await verify(options, found.cluster);
  if (initialClusterState === 'existing') {
    if (discovery !== undefined)
      throw new StartError('discovery URL should not be set when joining existing initial cluster');
    const initial = found.cluster;
    const cluster = await runningCluster(options, initial);
    const rejoined = config.rejoin
      ? await rejoinCluster(options, { initial, cluster, foundedId: undefined })
      : undefined;
    return rejoined ?? joinCluster(options, initial, cluster);
  }
  const members = await registeredMembers(config, found, logger);
  const bootstrapped = bootstrapNewCluster(name, members.cluster, members.token);
  if (discovery !== undefined || members.cluster.size === 1) return bootstrapped;
  const urls = othersUrls(config, members.cluster);
  const cluster = config.rejoin
    ? await certainCluster(options, urls)
    : await client.cluster(urls, REQUEST_TIMEOUT_MS).catch(() => undefined);
  if (cluster === undefined) return bootstrapped;
  const { memberId: foundedId } = bootstrapped;
  const rejoined = config.rejoin
    ? await rejoinCluster(options, { initial: members.cluster, cluster, foundedId })
    : undefined;
  if (rejoined !== undefined) return rejoined;
  refuseBootstrapped(foundedId, cluster);
  return bootstrapped;
}

async function verify({ config, dns }: JoinOptions, cluster: InitialCluster): Promise<void> {
  const own = cluster.get(config.name);
  const difference =
    own === undefined || config.initialClusterState === 'existing'
      ? undefined
      : await urlDifference(urlTexts(config.advertisePeerUrls), own, { dns, timeoutMs: RESOLVE_TIMEOUT_MS });
  const fault = bootstrapFault({ ...config, initialCluster: cluster }, difference);
  if (fault !== undefined) throw new StartError(fault);
}

/** A member that has lost its data must not bootstrap its cluster a second time. */
function refuseBootstrapped(memberId: bigint, { members }: RemoteCluster): void {
  const known = members.find(({ id }) => id === memberId);
  if (known !== undefined && known.clientUrls.length > 0)
    throw new StartError(`member ${memberId.toString(16)} has already been bootstrapped`);
}
