import type { Member } from '../../server/member.ts';
import { formatClusterVersion } from '../../membership/version.ts';

/** What the periodic work of the members must have done by the end of the quiet time. */
export interface PeriodicTaskExpectations {
  readonly clusterVersion: string;
  /** The revision when the quiet time began. Its history is older than the auto compaction keeps. */
  readonly oldRevision: number;
  /** Leases granted before the quiet time, which nobody renews any more. */
  readonly oldLeases: readonly bigint[];
  /** Members whose process runs. */
  readonly running: ReadonlySet<bigint>;
}

/** @returns what the periodic work of a member has left undone */
export function periodicTaskFault(
  { cluster, store, lessor }: Member,
  { clusterVersion, oldRevision, oldLeases, running }: PeriodicTaskExpectations,
): string | undefined {
  const version = cluster.version === undefined ? 'unknown' : formatClusterVersion(cluster.version);
  if (version !== clusterVersion) return `the cluster version is ${version}, not ${clusterVersion}`;
  if (store.compactRevision < oldRevision)
    return `history from revision ${store.compactRevision} on is kept, ${oldRevision} is due to be compacted`;
  const learner = cluster.members().find(({ id, isLearner }) => isLearner && running.has(id));
  if (learner !== undefined) return `learner ${learner.id.toString(16)} was not promoted`;
  const lease = oldLeases.find((id) => lessor.lookup(id) !== undefined);
  if (lease !== undefined) return `lease ${lease} was granted long ago and has not expired`;
  return undefined;
}
