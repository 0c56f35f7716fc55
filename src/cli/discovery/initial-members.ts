import { setTimeout as sleep } from 'node:timers/promises';
import type { Config, InitialCluster } from '../../config/config.ts';
import { FlagValueError, quote } from '../../config/go-syntax.ts';
import { clusterText, parseInitialCluster } from '../../config/initial-cluster.ts';
import { hex, reasonOf } from '../../lib/text.ts';
import type { Logger } from '../../ports/logger.ts';
import { bootstrapNewCluster } from '../../server/identity.ts';
import { StartError } from '../start-error.ts';
import type { Dns } from './dns.ts';
import { FULL, Registry, RegistryError } from './registry.ts';
import { srvCluster } from './srv-cluster.ts';

/** The members of a new cluster or of the cluster to join. */
export interface InitialMembers {
  readonly cluster: InitialCluster;
  readonly token: string;
}

/**
 * Determines the members from flags and DNS. With a discovery service, the result has only this member, which is needed
 * for the id under which it registers. Rejects with StartError and etcd's text.
 */
export async function initialMembers(config: Config, dns: Dns, logger: Logger): Promise<InitialMembers> {
  const { name, discovery, discoverySrv, initialCluster, initialClusterToken } = config;
  if (discovery !== undefined) {
    const urls = config.advertisePeerUrls.map(({ text }) => text);
    return { cluster: new Map([[name, urls]]), token: discovery.token };
  }
  if (discoverySrv === undefined) return { cluster: initialCluster, token: initialClusterToken };
  const advertised = config.advertisePeerUrls;
  const { members, fault } = await srvCluster({ ...discoverySrv, name, advertised, dns, logger });
  if (fault !== undefined) logger.warn('failed to resolve during SRV discovery', { error: fault });
  if (members.length === 0) {
    if (fault !== undefined) throw settingUp(fault);
    return { cluster: new Map(), token: initialClusterToken };
  }
  for (const node of members) logger.info('got bootstrap from DNS for etcd-server', { node });
  const cluster = parsed(members.join(','), settingUp);
  if (!cluster.has(name)) throw settingUp(`cannot find local etcd member ${quote(name)} in SRV records`);
  return { cluster, token: initialClusterToken };
}

/** Registers with the discovery service and waits for the other members. Rejects with StartError. */
export async function registeredMembers(
  config: Config,
  local: InitialMembers,
  logger: Logger,
): Promise<InitialMembers> {
  const { discovery, name } = config;
  if (discovery === undefined) return local;
  const { memberId } = bootstrapNewCluster(name, local.cluster, local.token);
  logger.info('Bootstrapping cluster using v3 discovery.', {
    'discovery-token': discovery.token,
    'discovery-endpoints': discovery.endpoints,
  });
  let text: string;
  try {
    // Loaded only when needed.
    const { GrpcRegistryStore } = await import('./grpc-store.ts');
    const store = await GrpcRegistryStore.open(discovery);
    try {
      const registry = new Registry({ store, token: discovery.token, logger, pause: sleep });
      text = await registry.join(hex(memberId), clusterText(local.cluster));
    } finally {
      store.close();
    }
  } catch (error) {
    const reason = reasonOf(error);
    if (error instanceof RegistryError && error.message === FULL)
      logger.warn('do not reuse discovery token; generate a new one to bootstrap a cluster');
    throw new StartError(`failed to join discovery cluster (${reason})`);
  }
  logger.info('discovery joined cluster successfully', { cluster: text });
  const cluster = parsed(text, (reason) => new StartError(reason));
  const urls = [...cluster.values()].flat();
  if (new Set(urls).size !== urls.length)
    throw new StartError(`discovery cluster ${clusterText(cluster)} has duplicate url`);
  // The parser combines members with the same name into one.
  if (cluster.get(name)?.length !== local.cluster.get(name)?.length)
    throw new StartError(
      `discovery cluster ${clusterText(cluster)} has several members named ${quote(name)}`,
    );
  return { cluster, token: local.token };
}

function settingUp(reason: string): StartError {
  return new StartError(`error setting up initial cluster: ${reason}`);
}

function parsed(text: string, fault: (reason: string) => StartError): InitialCluster {
  try {
    return parseInitialCluster(text);
  } catch (error) {
    if (!(error instanceof FlagValueError)) throw error;
    throw fault(error.message);
  }
}
