/** Limits of the configuration, each with its reason. */

/** etcd's limit. With a longer timeout, a cluster takes too long to replace a failed leader. */
export const MAX_ELECTION_TIMEOUT_MS = 50_000;

/** A follower must be able to miss several heartbeats, or any delay would start an election. */
export const MIN_HEARTBEATS_PER_ELECTION = 5;

/** etcd's minimum for peer connection timeouts. A shorter one would close idle but healthy streams. */
export const MIN_RAFT_CONNECTION_TIMEOUT_MS = 5_000;

/** The request timeout is this time, for queueing, work and disk, plus two election timeouts. */
export const REQUEST_WORK_TIMEOUT_MS = 5_000;

/** Revisions that a compaction removes in one batch before it yields. */
export const DEFAULT_COMPACTION_BATCH_LIMIT = 1_000;

/** Pause between batches of a compaction, so that requests are served in between. */
export const DEFAULT_COMPACTION_SLEEP_MS = 10;

/** Interval of progress notifications of a watch without events. */
export const DEFAULT_WATCH_PROGRESS_MS = 10 * 60_000;

/** bcrypt supports costs from 4 to 31. For any other value etcd uses its default. */
export const bcryptCosts = { min: 4, max: 31, default: 10 } as const;

/** The sampling rate is a number of traces per million. */
export const MAX_TRACING_SAMPLES_PER_MILLION = 1_000_000;

/** Each serving thread has its own heap and code. One core thread cannot keep more of them busy. */
export const MAX_SERVING_THREADS = 64;
