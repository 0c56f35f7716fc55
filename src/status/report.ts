/** The answer to `/status.json`. Sizes are bytes, times milliseconds since the epoch, durations as their names say. */
export interface StatusReport {
  /** When the report was made, by the clock of the member. All ages are counted from it. */
  readonly atMs: number;
  readonly self: SelfReport;
  /** The ID of the leader; null while there is none. */
  readonly leader: string | null;
  readonly raft: RaftReport;
  /** By ascending ID. */
  readonly members: readonly MemberReport[];
  readonly alarms: readonly { readonly memberId: string; readonly alarm: string }[];
  readonly space: SpaceReport;
  readonly eventLoop: { readonly recent: LoopReport; readonly sinceStart: LoopReport };
  /** The slowest requests to this member in the last hour, the slowest first. */
  readonly slowRequests: readonly SlowRequest[];
  /** Null if nothing is counted by prefix. */
  readonly usage: UsageReport | null;
  /** Null if the members take no backups. */
  readonly backup: BackupReport | null;
}

/** The member that made the report. */
export interface SelfReport {
  readonly id: string;
  readonly name: string;
  readonly clusterId: string;
  /** The release of Keystead. */
  readonly version: string;
  /** The release of etcd that it is compatible with. */
  readonly etcdVersion: string;
  /** Null while it is not decided. */
  readonly clusterVersion: string | null;
  readonly runtime: string;
  readonly uptimeSeconds: number;
  readonly memoryBytes: number;
}

export interface RaftReport {
  readonly term: number;
  readonly committed: number;
  readonly applied: number;
  readonly pendingProposals: number;
  readonly failedProposals: number;
  /** Changes of the leader that this member has seen since its start. */
  readonly leaderChanges: number;
}

/**
 * How this member sees another one. `silent`: connected, but it did not answer a question in time. `unstarted`: added to
 * the cluster, but it has never run.
 */
export type MemberState = 'self' | 'connected' | 'silent' | 'unreachable' | 'unstarted';

export interface MemberReport {
  readonly id: string;
  readonly name: string;
  readonly isLearner: boolean;
  readonly clientUrls: readonly string[];
  readonly state: MemberState;
  /** From this member, smoothed; null if it is not measured. */
  readonly roundTripMs: number | null;
  /** Committed entries that are not in the member's log, as the leader knows; null without an answer of the leader. */
  readonly lag: number | null;
  /** What the member says about itself; null without an answer. */
  readonly own: MemberFigures | null;
}

export interface MemberFigures {
  /** Empty if unknown. */
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly term: number;
  /** Committed entries that the member has not applied. */
  readonly unapplied: number;
  readonly revision: number;
  readonly storeBytes: number;
}

export interface SpaceReport {
  readonly storeBytes: number;
  /** The part of the store that is no free space inside its files. */
  readonly inUseBytes: number;
  /** Null without a quota. */
  readonly quotaBytes: number | null;
  readonly keys: number;
  readonly revision: number;
  readonly compactRevision: number;
  readonly watchers: number;
  /** Null if the file system does not say it. */
  readonly disk: { readonly freeBytes: number; readonly totalBytes: number } | null;
}

/** Delays of the event loop in milliseconds. */
export interface LoopReport {
  /** How long it was measured. */
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface SlowRequest {
  /** As `KV/Range`. */
  readonly method: string;
  /** The beginning of the first key in printable characters; null if the request has no key. */
  readonly key: string | null;
  /** Whether the request is for a range of keys. */
  readonly isRange: boolean;
  readonly tookMs: number;
  /** When it began. */
  readonly atMs: number;
}

export interface PrefixReport {
  readonly prefix: string;
  readonly keys: number;
  readonly bytes: number;
  readonly historyBytes: number;
  /** Since the start of the process. */
  readonly writes: number;
  /** Of this member. */
  readonly watchers: number;
}

export interface UsageReport {
  /** False while the member counts its keys after a start: keys and bytes are unknown then. */
  readonly isComplete: boolean;
  /** Those with the most bytes, the largest first. */
  readonly prefixes: readonly PrefixReport[];
  /** The sum of all further ones, and their number. */
  readonly rest: PrefixReport & { readonly count: number };
}

/** Times are 0 for never. */
export interface BackupReport {
  /** The member that the figures are of: the leader if it answers. */
  readonly memberId: string;
  readonly isLeader: boolean;
  readonly intervalSeconds: number;
  readonly lastSuccessMs: number;
  readonly lastSizeBytes: number;
  readonly lastVerifiedMs: number;
  readonly lastDurationSeconds: number;
  readonly failures: number;
  readonly isInProgress: boolean;
}
