import type { Config, InitialCluster } from '../config/config.ts';
import { areSameUrls } from '../config/urls.ts';
import { hex, reasonOf } from '../lib/text.ts';
import {
  clusterVersionOf,
  compareVersions,
  MIN_CLUSTER_VERSION,
  parseVersion,
} from '../membership/version.ts';
import type { Logger } from '../ports/logger.ts';
import type { PeerClient, RemoteCluster, RemoteMember } from '../ports/peer-client.ts';
import type { BootstrapResult } from '../server/identity.ts';
import type { Dns } from './discovery/dns.ts';
import { RESOLVE_TIMEOUT_MS, urlDifference } from './discovery/same-urls.ts';
import { StartError } from './start-error.ts';
import { ETCD_VERSION } from './version.ts';

const CLUSTER_TIMEOUT_MS = 5_000;
const VERSION_TIMEOUT_MS = 2_000;

export interface JoinOptions {
  readonly config: Config;
  readonly client: PeerClient;
  readonly dns: Dns;
  readonly logger: Logger;
}

/** Determines the identity of a member that a running cluster has added. Rejects with StartError and etcd's text. */
export async function joinCluster(
  options: JoinOptions,
  initial: InitialCluster,
  cluster: RemoteCluster,
): Promise<BootstrapResult> {
  const { config, logger } = options;
  const local = await localMember(options, initial, cluster);
  const others = cluster.members.filter(({ id }) => id !== local.id);
  if (!(await isCompatible(options, others)))
    throw new StartError('incompatible with current running cluster');
  if (cluster.members.filter(({ isLearner }) => isLearner).length > config.maxLearners)
    throw new StartError('membership: too many learner members in cluster');
  logger.info('joining a running cluster', { members: cluster.members.length });
  return { memberId: local.id, clusterId: cluster.clusterId, initialMembers: [], remotes: others };
}

/** The peer URLs of the other members of the initial cluster. */
export function othersUrls({ name }: Config, initial: InitialCluster): string[] {
  return [...initial].flatMap(([member, urls]) => (member === name ? [] : urls));
}

/** Asks the other members for the cluster. Rejects with StartError and etcd's text if none answers. */
export async function runningCluster(
  { config, client, logger }: JoinOptions,
  initial: InitialCluster,
): Promise<RemoteCluster> {
  const urls = othersUrls(config, initial);
  try {
    return await client.cluster(urls.sort(), CLUSTER_TIMEOUT_MS);
  } catch (error) {
    const reason = reasonOf(error);
    logger.warn('failed to get cluster response', { 'peer-urls': urls, error: reason });
    throw new StartError(
      'cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs',
    );
  }
}

/** Each member of the cluster must be in `--initial-cluster`. This member is the one with its name. */
async function localMember(
  { config, dns }: JoinOptions,
  initial: InitialCluster,
  cluster: RemoteCluster,
): Promise<RemoteMember> {
  const invalid = (reason: string): StartError =>
    new StartError(`error validating peerURLs ${describe(cluster)}: ${reason}`);
  if (cluster.members.length !== initial.size) throw invalid('member count is unequal');
  let local: RemoteMember | undefined;
  for (const member of cluster.members) {
    const match = await nameOf(member.peerUrls, initial, dns);
    if ('difference' in match) {
      const which = `${hex(member.id)}, [${member.peerUrls.join(' ')}]`;
      throw invalid(
        `PeerURLs: no match found for existing member (${which}), last resolver error (${match.difference})`,
      );
    }
    if (match.name === config.name) local = member;
  }
  if (local === undefined) throw invalid(`no member matches the name ${config.name}`);
  return local;
}

/** Returns the name of a member in the initial cluster, by its URLs or by the addresses that they resolve to. */
export async function nameOf(
  urls: readonly string[],
  initial: InitialCluster,
  dns: Dns,
): Promise<{ readonly name: string } | { readonly difference: string }> {
  for (const [name, listed] of initial) if (areSameUrls(urls, listed)) return { name };
  let difference = '';
  for (const [name, listed] of initial) {
    const found = await urlDifference(urls, listed, { dns, timeoutMs: RESOLVE_TIMEOUT_MS });
    if (found === undefined) return { name };
    difference = found;
  }
  return { difference };
}

/** Whether this version can join the cluster. At least one member must report a compatible cluster version. */
export async function isCompatible(
  { client, logger }: JoinOptions,
  others: readonly RemoteMember[],
): Promise<boolean> {
  const own = parseVersion(ETCD_VERSION) ?? MIN_CLUSTER_VERSION;
  const enabled = others.map(({ peerUrls }) =>
    client.downgradeEnabled(peerUrls, VERSION_TIMEOUT_MS).catch(() => false),
  );
  const isDowngrading = (await Promise.all(enabled)).includes(true);
  // A cluster that is downgrading still has the next minor version.
  const highest = clusterVersionOf({ ...own, minor: own.minor + (isDowngrading ? 1 : 0) });
  const answers = others.map(async ({ id, peerUrls }) => {
    const fields = { 'remote-member-id': hex(id) };
    const answer = await client.versions(peerUrls, VERSION_TIMEOUT_MS).catch((error: unknown) => {
      logger.warn('failed to get version of a member', { ...fields, error: String(error) });
      return undefined;
    });
    const version = answer === undefined ? undefined : parseVersion(answer.cluster);
    if (version === undefined) return 'unknown';
    const fits = compareVersions(version, MIN_CLUSTER_VERSION) >= 0 && compareVersions(version, highest) <= 0;
    if (!fits)
      logger.warn('cluster version of remote member is not compatible', {
        ...fields,
        'remote-member-cluster-version': answer?.cluster,
      });
    return fits ? 'compatible' : 'incompatible';
  });
  const results = await Promise.all(answers);
  return results.includes('compatible') && !results.includes('incompatible');
}

/** Formats a cluster as Go does. */
function describe({ clusterId, members }: RemoteCluster): string {
  const texts = members.map(
    ({ id, name, peerUrls, clientUrls, isLearner }) =>
      `&{ID:${hex(id)} RaftAttributes:{PeerURLs:[${peerUrls.join(' ')}] IsLearner:${isLearner}} ` +
      `Attributes:{Name:${name} ClientURLs:[${clientUrls.join(' ')}]}}`,
  );
  return `{ClusterID:${hex(clusterId)} Members:[${texts.join(' ')}] RemovedMemberIDs:[]}`;
}
