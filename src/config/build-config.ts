import { auditSettings } from './audit-settings.ts';
import { backupSettings } from './backup-settings.ts';
import { usageSettings } from './usage-settings.ts';
import type {
  AutoCompaction,
  Config,
  DiscoverySettings,
  InitialCluster,
  LogSettings,
  TlsSettings,
  TracingSettings,
} from './config.ts';
import { featureGateText, resolveFeatureGates } from './feature-gates.ts';
import {
  DEFAULT_COMPACTION_BATCH_LIMIT,
  DEFAULT_COMPACTION_SLEEP_MS,
  DEFAULT_WATCH_PROGRESS_MS,
  MIN_RAFT_CONNECTION_TIMEOUT_MS,
  REQUEST_WORK_TIMEOUT_MS,
} from './limits.ts';
import type { FlagValues } from './value-kinds.ts';

export interface ConfigParts {
  readonly values: FlagValues;
  readonly log: LogSettings;
  readonly autoCompaction: AutoCompaction;
  readonly initialCluster: InitialCluster;
  readonly localAddress: string | undefined;
  readonly servingThreads: number;
}

/**
 * Builds the frozen configuration from validated values. Some flags have 0 as their default; they get the real
 * default here, as in etcd's server.
 */
export function buildConfig({
  values,
  log,
  autoCompaction,
  initialCluster,
  localAddress,
  servingThreads,
}: ConfigParts): Config {
  return Object.freeze({
    ...identity(values, initialCluster),
    ...raftSettings(values),
    ...serving(values),
    ...maintenance(values, autoCompaction),
    ...security(values),
    log,
    localAddress,
    servingThreads,
    featureGates: resolveFeatureGates(values['feature-gates']),
    featureGateText: featureGateText(values['feature-gates']),
    audit: auditSettings(values),
    backup: backupSettings(values),
    usage: usageSettings(values),
    tracing: tracingSettings(values),
    learnerReads: values['learner-reads'],
    autoPromoteLearners: values['auto-promote-learners'],
    autoDisarmPercent: values['keystead-auto-disarm'] ? values['keystead-auto-disarm-percent'] : undefined,
    rejoin: values['keystead-rejoin'],
    blockCacheBytes: values['keystead-block-cache-bytes'],
    listCacheBytes: values['keystead-list-cache-bytes'],
    raftThread: values['keystead-raft-thread'],
    maxConnections: values['keystead-max-connections'],
    maxLoginsPerSecond: values['keystead-max-logins-per-second'],
    maxHeldBytes: values['keystead-max-held-bytes'],
    maxSnapshotStreams: values['keystead-max-snapshot-streams'],
    maxHashes: values['keystead-max-hashes'],
    maxInflightBytes: values['keystead-max-inflight-bytes'],
    catchupBytes: values['keystead-catchup-bytes'],
  } satisfies Config);
}

function identity(values: FlagValues, initialCluster: InitialCluster) {
  return {
    name: values.name,
    dataDir: values['data-dir'],
    walDir: values['wal-dir'],
    snapshotCount: values['snapshot-count'],
    snapshotCatchupEntries: values['snapshot-catchup-entries'],
    maxSnapshotFiles: values['max-snapshots'],
    maxWalFiles: values['max-wals'],
    unsafeNoFsync: values['unsafe-no-fsync'],
    initialCluster,
    initialClusterText: values['initial-cluster'],
    initialClusterState: values['initial-cluster-state'] === 'existing' ? 'existing' : 'new',
    initialClusterToken: values['initial-cluster-token'],
    discovery: discoverySettings(values),
    discoverySrv:
      values['discovery-srv'] === ''
        ? undefined
        : { domain: values['discovery-srv'], serviceName: values['discovery-srv-name'] },
    forceNewCluster: values['force-new-cluster'],
    strictReconfigCheck: values['strict-reconfig-check'],
    maxLearners: values['max-learners'],
  } as const;
}

function discoverySettings(values: FlagValues): DiscoverySettings | undefined {
  if (values['discovery-endpoints'].length === 0) return undefined;
  const given = values['discovery-user'];
  const colon = values['discovery-password'] === '' ? given.indexOf(':') : -1;
  return {
    token: values['discovery-token'],
    endpoints: values['discovery-endpoints'],
    dialTimeoutMs: values['discovery-dial-timeout'],
    requestTimeoutMs: values['discovery-request-timeout'],
    keepaliveTimeMs: values['discovery-keepalive-time'],
    keepaliveTimeoutMs: values['discovery-keepalive-timeout'],
    insecureTransport: values['discovery-insecure-transport'],
    insecureSkipVerify: values['discovery-insecure-skip-tls-verify'],
    cert: values['discovery-cert'],
    key: values['discovery-key'],
    caCert: values['discovery-cacert'],
    user: colon < 0 ? given : given.slice(0, colon),
    password: colon < 0 ? values['discovery-password'] : given.slice(colon + 1),
  };
}

function raftSettings(values: FlagValues) {
  const heartbeatIntervalMs = values['heartbeat-interval'];
  const electionTicks = Math.floor(values['election-timeout'] / heartbeatIntervalMs);
  return {
    heartbeatIntervalMs,
    electionTimeoutMs: values['election-timeout'],
    electionTicks,
    initialElectionTickAdvance: values['initial-election-tick-advance'],
    preVote: values['pre-vote'],
    raftReadTimeoutMs: Math.max(values['raft-read-timeout'], MIN_RAFT_CONNECTION_TIMEOUT_MS),
    raftWriteTimeoutMs: Math.max(values['raft-write-timeout'], MIN_RAFT_CONNECTION_TIMEOUT_MS),
    requestTimeoutMs: REQUEST_WORK_TIMEOUT_MS + 2 * electionTicks * heartbeatIntervalMs,
  };
}

function tracingSettings(values: FlagValues): TracingSettings | undefined {
  if (!values['enable-distributed-tracing']) return undefined;
  return {
    address: values['distributed-tracing-address'],
    serviceName: values['distributed-tracing-service-name'],
    instanceId: values['distributed-tracing-instance-id'],
    samplesPerMillion: values['distributed-tracing-sampling-rate'],
  };
}

function serving(values: FlagValues) {
  return {
    listenPeerUrls: values['listen-peer-urls'],
    listenClientUrls: values['listen-client-urls'],
    listenClientHttpUrls: values['listen-client-http-urls'],
    listenMetricsUrls: values['listen-metrics-urls'],
    statusUrls: values['keystead-status-urls'],
    advertisePeerUrls: values['initial-advertise-peer-urls'],
    advertiseClientUrls: values['advertise-client-urls'],
    quotaBackendBytes: values['quota-backend-bytes'],
    maxTxnOps: values['max-txn-ops'],
    maxRequestBytes: values['max-request-bytes'],
    maxConcurrentStreams: values['max-concurrent-streams'],
    grpcKeepaliveMinTimeMs: values['grpc-keepalive-min-time'],
    grpcKeepaliveIntervalMs: values['grpc-keepalive-interval'],
    grpcKeepaliveTimeoutMs: values['grpc-keepalive-timeout'],
    enableGrpcGateway: values['enable-grpc-gateway'],
    socketReusePort: values['socket-reuse-port'],
    corsOrigins: values.cors,
    hostWhitelist: values['host-whitelist'],
    enablePprof: values['enable-pprof'],
    metricsLevel: values.metrics,
  };
}

function maintenance(values: FlagValues, autoCompaction: AutoCompaction) {
  const mode = values['auto-compaction-mode'] === 'revision' ? 'revision' : 'periodic';
  return {
    autoCompaction,
    autoCompactionMode: mode,
    compactionBatchLimit: values['compaction-batch-limit'] || DEFAULT_COMPACTION_BATCH_LIMIT,
    compactionSleepIntervalMs: values['compaction-sleep-interval'] || DEFAULT_COMPACTION_SLEEP_MS,
    watchProgressNotifyIntervalMs: values['watch-progress-notify-interval'] || DEFAULT_WATCH_PROGRESS_MS,
    corruptCheckTimeMs: values['corrupt-check-time'],
    compactHashCheckTimeMs: values['compact-hash-check-time'],
    downgradeCheckTimeMs: values['downgrade-check-time'],
    warningApplyDurationMs: values['warning-apply-duration'],
    warningUnaryRequestDurationMs: values['warning-unary-request-duration'] || 300,
  } as const;
}

function security(values: FlagValues) {
  const clientTls: TlsSettings = {
    certFile: values['cert-file'],
    keyFile: values['key-file'],
    clientCertFile: values['client-cert-file'],
    clientKeyFile: values['client-key-file'],
    clientCertAuth: values['client-cert-auth'],
    trustedCaFile: values['trusted-ca-file'],
    crlFile: values['client-crl-file'],
    allowedCommonNames: [],
    allowedHostnames: values['client-cert-allowed-hostname'],
    autoTls: values['auto-tls'],
    skipClientSanVerification: false,
  };
  const peerTls: TlsSettings = {
    certFile: values['peer-cert-file'],
    keyFile: values['peer-key-file'],
    clientCertFile: values['peer-client-cert-file'],
    clientKeyFile: values['peer-client-key-file'],
    clientCertAuth: values['peer-client-cert-auth'],
    trustedCaFile: values['peer-trusted-ca-file'],
    crlFile: values['peer-crl-file'],
    allowedCommonNames: values['peer-cert-allowed-cn'],
    allowedHostnames: values['peer-cert-allowed-hostname'],
    autoTls: values['peer-auto-tls'],
    skipClientSanVerification: values['peer-skip-client-san-verification'],
  };
  return {
    clientTls,
    peerTls,
    cipherSuites: values['cipher-suites'],
    tlsMinVersion: values['tls-min-version'],
    tlsMaxVersion: values['tls-max-version'],
    selfSignedCertValidityYears: values['self-signed-cert-validity'] || 1,
    authToken: values['auth-token'],
    authTokenTtlSeconds: values['auth-token-ttl'],
    bcryptCost: values['bcrypt-cost'],
  };
}
