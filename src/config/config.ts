import type { FeatureGate } from './feature-gates.ts';
import type { EndpointUrl } from './urls.ts';

/** TLS flags of the client or the peer endpoint. Files are named here and read when the listener starts. */
export interface TlsSettings {
  readonly certFile: string;
  readonly keyFile: string;
  readonly clientCertFile: string;
  readonly clientKeyFile: string;
  readonly clientCertAuth: boolean;
  readonly trustedCaFile: string;
  readonly crlFile: string;
  readonly allowedCommonNames: readonly string[];
  readonly allowedHostnames: readonly string[];
  readonly autoTls: boolean;
  readonly skipClientSanVerification: boolean;
}

export interface LogRotationSettings {
  readonly maxSizeMegabytes: number;
  /** 0 keeps files of any age. */
  readonly maxAgeDays: number;
  /** 0 keeps any number. */
  readonly maxBackups: number;
  /** Names rotated files after local time instead of UTC. */
  readonly localTime: boolean;
  /** Compresses rotated files with gzip. */
  readonly compress: boolean;
}

export interface LogSettings {
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'panic' | 'fatal';
  readonly format: 'json' | 'console';
  readonly outputs: readonly string[];
  readonly rotation: LogRotationSettings | undefined;
}

/** Automatic compaction: keeps history by time, by number of revisions, or for ever. */
export type AutoCompaction =
  | { readonly mode: 'off' }
  | { readonly mode: 'periodic'; readonly retentionMs: number }
  | { readonly mode: 'revision'; readonly retentionRevisions: number };

/** Client settings for the cluster that serves as v3 discovery service. Times are milliseconds. */
export interface DiscoverySettings {
  readonly token: string;
  readonly endpoints: readonly string[];
  readonly dialTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly keepaliveTimeMs: number;
  readonly keepaliveTimeoutMs: number;
  readonly insecureTransport: boolean;
  readonly insecureSkipVerify: boolean;
  readonly cert: string;
  readonly key: string;
  readonly caCert: string;
  /** User and password are empty when the discovery service needs no login. */
  readonly user: string;
  readonly password: string;
}

/** Peer URLs by member name, from `--initial-cluster`. */
export type InitialCluster = ReadonlyMap<string, readonly string[]>;

export interface TracingSettings {
  /** Of the collector, `host:port`. */
  readonly address: string;
  readonly serviceName: string;
  /** Empty for none. */
  readonly instanceId: string;
  /** Of the traces without a parent. */
  readonly samplesPerMillion: number;
}

export interface AuditSettings {
  /** A file, or `stdout` or `stderr`. */
  readonly path: string;
  readonly level: 'write' | 'all';
  /** 0 means no limit. */
  readonly maxSizeMegabytes: number;
  /** 0 keeps all. */
  readonly maxBackups: number;
}

/** Backups that the leader takes. */
export interface BackupSettings {
  readonly url: string;
  readonly intervalMs: number;
  /** Empty if backups are not encrypted. */
  readonly keyFile: string;
  /** What is kept. If both are undefined, no backup is removed. */
  readonly keepLast: number | undefined;
  readonly keepDays: number | undefined;
  /** Undefined if the log between the backups is not stored. */
  readonly log: BackupLogSettings | undefined;
}

/** The log between the backups. */
export interface BackupLogSettings {
  readonly intervalMs: number;
  /** Maximum bytes of entries in memory that are not stored yet. */
  readonly maxBytes: number;
}

/** What is counted by prefix of keys. */
export interface UsageSettings {
  /** At least one. With `/*` at its end, each path segment below it is counted for itself. */
  readonly prefixes: readonly string[];
  /** Maximum number of labels. */
  readonly maxPrefixes: number;
}

/** The whole configuration of a server: validated, with defaults, frozen. Times are milliseconds, sizes bytes. */
export interface Config {
  readonly name: string;
  readonly dataDir: string;
  /** Empty when the write-ahead log is in the data directory. */
  readonly walDir: string;
  readonly snapshotCount: number;
  readonly snapshotCatchupEntries: number;
  readonly maxSnapshotFiles: number;
  readonly maxWalFiles: number;
  readonly unsafeNoFsync: boolean;

  readonly heartbeatIntervalMs: number;
  readonly electionTimeoutMs: number;
  /** Heartbeat intervals in one election timeout; at least 5. */
  readonly electionTicks: number;
  readonly initialElectionTickAdvance: boolean;
  readonly preVote: boolean;
  readonly raftReadTimeoutMs: number;
  readonly raftWriteTimeoutMs: number;
  /** Source address of connections to other members; undefined lets the system choose. */
  readonly localAddress: string | undefined;
  /** Timeout of a request: five seconds plus two election timeouts. */
  readonly requestTimeoutMs: number;

  readonly listenPeerUrls: readonly EndpointUrl[];
  readonly listenClientUrls: readonly EndpointUrl[];
  /** When not empty, HTTP is served only here, and `listenClientUrls` serve only gRPC. */
  readonly listenClientHttpUrls: readonly EndpointUrl[];
  readonly listenMetricsUrls: readonly EndpointUrl[];
  /** Empty when there is no status page. */
  readonly statusUrls: readonly EndpointUrl[];
  readonly advertisePeerUrls: readonly EndpointUrl[];
  readonly advertiseClientUrls: readonly EndpointUrl[];

  /** Used only when the data directory is empty. */
  readonly initialCluster: InitialCluster;
  readonly initialClusterText: string;
  readonly initialClusterState: 'new' | 'existing';
  readonly initialClusterToken: string;
  /** The discovery service that lists the members of a new cluster, instead of `initialCluster`. */
  readonly discovery: DiscoverySettings | undefined;
  /** The domain whose SRV records list the members, instead of `initialCluster`. */
  readonly discoverySrv: { readonly domain: string; readonly serviceName: string } | undefined;
  readonly forceNewCluster: boolean;
  readonly strictReconfigCheck: boolean;
  readonly maxLearners: number;

  /** 0 when not given: the default of 2 GiB applies. Negative: no limit. */
  readonly quotaBackendBytes: number;
  readonly maxTxnOps: number;
  readonly maxRequestBytes: number;
  readonly maxConcurrentStreams: number;
  /** 0 turns the policy off. */
  readonly grpcKeepaliveMinTimeMs: number;
  /** 0 turns server pings off. */
  readonly grpcKeepaliveIntervalMs: number;
  readonly grpcKeepaliveTimeoutMs: number;
  readonly enableGrpcGateway: boolean;
  readonly socketReusePort: boolean;

  readonly autoCompaction: AutoCompaction;
  readonly autoCompactionMode: 'periodic' | 'revision';
  readonly compactionBatchLimit: number;
  readonly compactionSleepIntervalMs: number;
  readonly watchProgressNotifyIntervalMs: number;
  readonly corruptCheckTimeMs: number;
  readonly compactHashCheckTimeMs: number;
  readonly downgradeCheckTimeMs: number;
  readonly warningApplyDurationMs: number;
  readonly warningUnaryRequestDurationMs: number;

  readonly clientTls: TlsSettings;
  readonly peerTls: TlsSettings;
  readonly cipherSuites: readonly string[];
  readonly tlsMinVersion: string;
  readonly tlsMaxVersion: string;
  readonly selfSignedCertValidityYears: number;
  /** `*` allows all. */
  readonly corsOrigins: readonly string[];
  /** `*` allows all, as does an empty list. */
  readonly hostWhitelist: readonly string[];

  readonly authToken: string;
  readonly authTokenTtlSeconds: number;
  readonly bcryptCost: number;

  readonly enablePprof: boolean;
  readonly metricsLevel: string;
  readonly log: LogSettings;
  readonly featureGates: ReadonlyMap<FeatureGate, boolean>;
  /** The gates that were set, as text for the log. */
  readonly featureGateText: string;

  /** Undefined when tracing is off. */
  readonly tracing: TracingSettings | undefined;
  /** Undefined when the audit log is off. */
  readonly audit: AuditSettings | undefined;
  /** Undefined when the server takes no backups. */
  readonly backup: BackupSettings | undefined;
  /** Undefined when nothing is counted by prefix. */
  readonly usage: UsageSettings | undefined;
  readonly learnerReads: boolean;
  readonly autoPromoteLearners: boolean;
  /** Percent of the quota below which NOSPACE is disarmed. Undefined when that is left to operators. */
  readonly autoDisarmPercent: number | undefined;
  /** Members that have lost their data are replaced, and this one asks for it. */
  readonly rejoin: boolean;
  readonly blockCacheBytes: number;
  /** Size of the cache of values that range requests have read. */
  readonly listCacheBytes: number;
  /** Threads that serve the connections of clients. With 0 the main thread does. */
  readonly servingThreads: number;
  /** Raft and its log have a thread of their own. */
  readonly raftThread: boolean;
  /** 0 means as many as the open-file limit allows. */
  readonly maxConnections: number;
  /** 0 is no limit. */
  readonly maxLoginsPerSecond: number;
  /**
   * Bytes buffered for all clients together: requests not received completely and responses not sent yet. 0 means an
   * eighth of the memory.
   */
  readonly maxHeldBytes: number;
  /** Snapshot streams to clients at the same time; at least one. */
  readonly maxSnapshotStreams: number;
  /** Hash requests of clients that are computed at the same time; at least one. */
  readonly maxHashes: number;
  readonly maxInflightBytes: number;
  /** Bytes of log entries that a leader keeps in memory for members that lag; 0 keeps none. */
  readonly catchupBytes: number;
}
