/** Limits of the configuration, each with its reason. */

/** etcd's limit. With a longer timeout, a cluster takes too long to replace a failed leader. */
export const maxElectionTimeoutMs = 50_000;

/** A follower must be able to miss several heartbeats, or any delay would start an election. */
export const minHeartbeatsPerElection = 5;

/** etcd's minimum for peer connection timeouts. A shorter one would close idle but healthy streams. */
export const minRaftConnectionTimeoutMs = 5_000;

/** The request timeout is this time, for queueing, work and disk, plus two election timeouts. */
export const requestWorkTimeoutMs = 5_000;

/** Revisions that a compaction removes in one batch before it yields. */
export const defaultCompactionBatchLimit = 1_000;

/** Pause between batches of a compaction, so that requests are served in between. */
export const defaultCompactionSleepMs = 10;

/** Interval of progress notifications of a watch without events. */
export const defaultWatchProgressMs = 10 * 60_000;

/** bcrypt supports costs from 4 to 31. For any other value etcd uses its default. */
export const bcryptCosts = { min: 4, max: 31, default: 10 } as const;

/** The sampling rate is a number of traces per million. */
export const maxTracingSamplesPerMillion = 1_000_000;
