import type { Member } from '../../server/member.ts';
import { formatClusterVersion } from '../../membership/version.ts';

/** The expected results of the periodic tasks at the end of the quiet period. */
export interface PeriodicTaskExpectations {
  readonly clusterVersion: string;
  /** The revision at the start of the quiet period. Automatic compaction must have removed its history. */
  readonly oldRevision: number;
  /** Leases from before the quiet period, which are no longer renewed. */
  readonly oldLeases: readonly bigint[];
  /** Members with a running process. */
  readonly running: ReadonlySet<bigint>;
}

/** @returns what the periodic tasks of a member have failed to do, if anything */
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
