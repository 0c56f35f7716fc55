import { setTimeout as sleep } from 'node:timers/promises';
import type { InitialCluster } from '../config/config.ts';
import { hex, reasonOf } from '../lib/text.ts';
import type { Logger } from '../ports/logger.ts';
import { PeerRequestError, type RemoteCluster, type RemoteMember } from '../ports/peer-client.ts';
import type { BootstrapResult } from '../server/identity.ts';
import { isCompatible, type JoinOptions, nameOf } from './join-cluster.ts';
import { StartError } from './start-error.ts';

/** The leader waits for two changes of the membership. */
const REQUEST_TIMEOUT_MS = 10_000;
/** Of one question to one member. */
const CLUSTER_TIMEOUT_MS = 5_000;
const RETRY_MS = 1_000;
const GIVE_UP_MS = 60_000;

export interface RejoinOptions {
  readonly initial: InitialCluster;
  /** The running cluster. */
  readonly cluster: RemoteCluster;
  /** The id that this member has in a new cluster; undefined if it joins an existing one. */
  readonly foundedId: bigint | undefined;
}

/**
 * With `--keystead-rejoin`: if the running cluster has a member with this member's peer URLs, this member joins it under a
 * new id. A member that has lost its data so comes back by itself.
 *
 * @returns undefined if the cluster does not know this member, or knows it as one that has not started yet
 * @throws StartError if the cluster refuses for a minute
 */
export async function rejoinCluster(
  options: JoinOptions,
  { initial, cluster, foundedId }: RejoinOptions,
): Promise<BootstrapResult | undefined> {
  const { logger } = options;
  const old = await localMember(options, initial, cluster);
  if (old === undefined) return undefined;
  const hasStarted = old.clientUrls.length > 0;
  // The other members may have started a moment earlier than this one.
  if (!hasStarted && old.id === foundedId) return undefined;
  const remotes = cluster.members.filter(({ id }) => id !== old.id);
  if (!(await isCompatible(options, remotes)))
    throw new StartError('incompatible with current running cluster');
  const { clusterId } = cluster;
  if (!hasStarted) return { memberId: old.id, clusterId, initialMembers: [], remotes };
  logger.warn('this member has no data, but was in the cluster; asking for a new id', {
    'old-member-id': hex(old.id),
  });
  const memberId = await askForNewId(options, cluster, old);
  logger.info('joining again as a learner', { 'old-member-id': hex(old.id), 'member-id': hex(memberId) });
  return { memberId, clusterId, initialMembers: [], remotes };
}

/**
 * Asks the other members of a new cluster whether it runs already, until that is certain. A member that lost its data
 * must not start the cluster a second time because the others were slow: it would vote again, and would acknowledge
 * entries that it does not have.
 *
 * @returns undefined if none of the other members runs
 * @throws StartError if it is not certain after a minute
 */
export async function certainCluster(
  { client, logger }: JoinOptions,
  urls: readonly string[],
): Promise<RemoteCluster | undefined> {
  const ask = async (): Promise<RemoteCluster | undefined> => {
    const answers = await Promise.all(
      urls.map((url) => client.cluster([url], CLUSTER_TIMEOUT_MS).catch((error: unknown) => error)),
    );
    const cluster = answers.find(isCluster);
    if (cluster !== undefined) return cluster;
    const unclear = answers.find((error) => !(error instanceof PeerRequestError && error.isNotRunning));
    if (unclear !== undefined) throw new Error(reasonOf(unclear));
    return undefined;
  };
  return retry(ask, {
    logger,
    waiting: 'waiting until it is certain whether the cluster runs already',
    givenUp: (reason) =>
      `cannot find out whether the cluster runs already: ${reason}; if it is a new one, start it without --keystead-rejoin`,
  });
}

function isCluster(answer: unknown): answer is RemoteCluster {
  return !(answer instanceof Error);
}

async function localMember(
  { config, dns }: JoinOptions,
  initial: InitialCluster,
  { members }: RemoteCluster,
): Promise<RemoteMember | undefined> {
  for (const member of members) {
    const match = await nameOf(member.peerUrls, initial, dns);
    if ('name' in match && match.name === config.name) return member;
  }
  return undefined;
}

/** Repeats the request, as the leader refuses until it has not heard from the old member for an election timeout. */
async function askForNewId(
  { client, logger }: JoinOptions,
  { clusterId, members }: RemoteCluster,
  { id, peerUrls }: RemoteMember,
): Promise<bigint> {
  const urls = members.flatMap((member) => (member.id === id ? [] : member.peerUrls));
  return retry(() => client.rejoin(urls, { id, clusterId, peerUrls }, REQUEST_TIMEOUT_MS), {
    logger,
    waiting: 'waiting until the cluster lets this member join again',
    givenUp: (reason) => reason,
  });
}

interface RetryOptions {
  readonly logger: Logger;
  /** Logged with each reason that differs from the one before. */
  readonly waiting: string;
  /** The message of the StartError after a minute. */
  readonly givenUp: (reason: string) => string;
}

/** Repeats an attempt until it succeeds. @throws StartError after a minute */
async function retry<T>(attempt: () => Promise<T>, { logger, waiting, givenUp }: RetryOptions): Promise<T> {
  const endMs = performance.now() + GIVE_UP_MS;
  let lastReason = '';
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const reason = reasonOf(error);
      if (performance.now() > endMs) throw new StartError(givenUp(reason));
      if (reason !== lastReason) logger.warn(waiting, { error: reason });
      lastReason = reason;
      await sleep(RETRY_MS);
    }
  }
}
