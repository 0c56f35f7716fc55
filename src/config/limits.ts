/** Limits of the configuration, each with its reason. */

/** etcd's: a cluster that takes longer than this to notice a dead leader is of no use. */
export const maxElectionTimeoutMs = 50_000;

/** An election must outlast several lost heartbeats, or any delay would start one. */
export const minHeartbeatsPerElection = 5;

/** etcd's floor for peer connection timeouts: shorter ones would cut idle but healthy streams. */
export const minRaftConnectionTimeoutMs = 5_000;

/** Share of a request's time for queueing, work and the disk, beside two elections. */
export const requestWorkTimeoutMs = 5_000;

/** The quota when none is given: etcd's, so that a full store shows at the same size. */
export const defaultQuotaBytes = 2 * 1024 * 1024 * 1024;

/** Revisions a compaction removes before it lets others run. */
export const defaultCompactionBatchLimit = 1_000;

/** Pause between slices of a compaction, so that requests go first. */
export const defaultCompactionSleepMs = 10;

/** How often a quiet watch hears of progress. */
export const defaultWatchProgressMs = 10 * 60_000;

/** bcrypt takes costs of 4 to 31; etcd falls back to its default outside of them. */
export const bcryptCosts = { min: 4, max: 31, default: 10 } as const;

/** Spans sampled cannot exceed all of them. */
export const maxTracingSamplesPerMillion = 1_000_000;
