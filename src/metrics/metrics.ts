import type { PeerCounts } from '../ports/peer-transport.ts';
import type { BackupCounts, BackupLogStatus } from './backup-families.ts';
import type { UsageSource } from './usage-families.ts';
import { CounterFamily, exponentialBounds, Histogram, HistogramFamily } from './histogram.ts';

/** 1 ms to 8 s: for disk operations and requests. */
export const latencyBounds = exponentialBounds(0.001, 2, 14);
/** 0.1 ms to 52 s: for applying and reading. */
const applyBounds = exponentialBounds(0.0001, 2, 20);
/** 10 ms to 164 s: for hashing the store. */
const hashBounds = exponentialBounds(0.01, 2, 15);

/** 0.5 ms to 4 s, in milliseconds: etcd's pauses of its index. */
export const indexPauseBounds = exponentialBounds(0.5, 2, 14);
/** 100 ms to 51 s: for sending a snapshot to another member. */
const snapshotBounds = exponentialBounds(0.1, 2, 10);
/** 0.1 ms to 3.3 s: for the round trip to another member. */
const roundTripBounds = exponentialBounds(0.0001, 2, 16);

/** 5 ms to 10 s: for calls, streams included. */
const callBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** The counters of one RPC method. Those of the `grpc` module have this shape. */
export interface MethodCounts {
  readonly service: string;
  readonly method: string;
  readonly type: string;
  readonly started: number;
  readonly messagesReceived: number;
  readonly messagesSent: number;
  /** Completed calls, by status code. */
  readonly handled: readonly number[];
}

/**
 * All measurements of the server, as plain numbers that the modules update. Names and text are made only for a
 * scrape. Durations are in seconds, unless the name says otherwise. Gauges that are expensive to keep up to date are
 * set by `beforeScrape`.
 */
export class Metrics {
  readonly server = {
    /** The member ID in hexadecimal, once known. */
    id: '',
    /** For example `3.7`, once decided. */
    clusterVersion: '',
    hasLeader: 0,
    isLeader: 0,
    isLearner: 0,
    leaderChangesSeen: 0,
    stuckLogHandovers: 0,
    autoDisarms: 0,
    autoDisarmCompactions: 0,
    learnerPromoteSuccesses: 0,
    heartbeatSendFailures: 0,
    proposalsApplied: 0,
    proposalsCommitted: 0,
    proposalsFailed: 0,
    proposalsPending: 0,
    quotaBackendBytes: 0,
    slowReadIndexes: 0,
    slowApplies: 0,
    snapshotApplyInProgress: 0,
    healthSuccess: 0,
    healthFailures: 0,
    leaseExpired: 0,
    authRevision: 0,
    /** Feature gates by name: their stage and whether they are enabled. */
    features: new Map<string, { readonly stage: string; readonly enabled: boolean }>(),
    /** The time to apply one request, by operation and success. */
    applyDuration: new HistogramFamily(['version', 'op', 'success'], applyBounds),
    rangeDuration: new HistogramFamily(['success'], applyBounds),
    /** The time from proposal to response, by request type and success. */
    requestDuration: new HistogramFamily(['type', 'success'], latencyBounds),
    healthChecks: new CounterFamily(['type', 'name', 'status']),
    healthCheck: new CounterFamily(['type', 'name']),
    clientRequests: new CounterFamily(['type', 'client_api_version']),
  };

  readonly mvcc = {
    currentRevision: 0,
    compactRevision: 0,
    keys: 0,
    putTotal: 0,
    deleteTotal: 0,
    rangeTotal: 0,
    txnTotal: 0,
    eventsTotal: 0,
    pendingEvents: 0,
    slowWatchers: 0,
    watchers: 0,
    watchStreams: 0,
    totalPutBytes: 0,
    compactionKeys: 0,
    /** The time of the last compaction, in seconds since the epoch. */
    compactionLastSeconds: 0,
    compactionPauseMs: new Histogram(exponentialBounds(1, 2, 13)),
    compactionTotalMs: new Histogram(exponentialBounds(100, 2, 14)),
    hashDuration: new Histogram(hashBounds),
    hashRevDuration: new Histogram(hashBounds),
    openReadTransactions: 0,
    dbTotalBytes: 0,
    dbInUseBytes: 0,
    watchSendControl: new Histogram(latencyBounds),
    watchSendProgress: new Histogram(latencyBounds),
    watchSendStream: new Histogram(latencyBounds),
    watchSendPerEvent: new Histogram(latencyBounds),
  };

  readonly lease = {
    granted: 0,
    renewed: 0,
    revoked: 0,
    ttlSeconds: new Histogram(exponentialBounds(1, 2, 24)),
  };

  readonly disk = {
    walFsync: new Histogram(latencyBounds),
    walWrite: new Histogram(latencyBounds),
    walWriteBytes: 0,
    backendCommit: new Histogram(latencyBounds),
    backendCommitWrite: new Histogram(latencyBounds),
    backendDefrag: new Histogram(exponentialBounds(0.1, 2, 13)),
    backendSnapshot: new Histogram(exponentialBounds(0.01, 2, 17)),
    defragInflight: 0,
    snapFsync: new Histogram(latencyBounds),
    snapDbSave: new Histogram(exponentialBounds(0.1, 2, 10)),
    snapSaveTotal: new Histogram(latencyBounds),
  };

  readonly network = {
    /** Messages of calls, without their five bytes of framing and before compression. */
    clientReceivedBytes: 0,
    clientSentBytes: 0,
    /** Peers by member ID in hexadecimal. The first of each pair is this member. */
    knownPeers: new CounterFamily(['Local', 'Remote']),
    /** By the other member's ID in hexadecimal, in seconds. */
    peerRoundTrip: new HistogramFamily(['To'], roundTripBounds),
    snapshotSend: new HistogramFamily(['To'], snapshotBounds),
    snapshotReceive: new HistogramFamily(['From'], snapshotBounds),
  };

  readonly scrapes = {
    inFlight: 0,
    byCode: new Map<string, number>([
      ['200', 0],
      ['500', 0],
      ['503', 0],
    ]),
  };

  /** Filled only with extensive metrics: from the request headers to the end of the call. */
  readonly callDurations = new HistogramFamily(['grpc_method', 'grpc_service', 'grpc_type'], callBounds);

  /** The counters of every RPC method, from the gRPC server. */
  methods: () => Iterable<MethodCounts> = () => [];
  /** Lines of the audit log since the start. */
  audit: { readonly written: number; readonly dropped: number } = { written: 0, dropped: 0 };

  /** Traffic with the other members, from the transport. */
  peers: () => Iterable<PeerCounts> = () => [];

  /** Undefined when this server takes no backups. */
  backup: BackupCounts | undefined;
  /** Undefined when this server does not store the log between the backups. */
  backupLog: BackupLogStatus | undefined;
  /** The usage by prefix; undefined if it is not counted. */
  usage: UsageSource | undefined;

  readonly #hooks: (() => void)[] = [];

  /** Runs `fill` before each scrape, to set gauges that are cheaper to read than to keep up to date. */
  beforeScrape(fill: () => void): void {
    this.#hooks.push(fill);
  }

  fill(): void {
    for (const hook of this.#hooks) hook();
  }
}
