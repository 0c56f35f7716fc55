import { CounterFamily, exponentialBounds, Histogram, HistogramFamily } from './histogram.ts';

/** 1 ms to 8 s: what a disk or a request takes. */
export const latencyBounds = exponentialBounds(0.001, 2, 14);
/** 0.1 ms to 52 s: what applying or reading takes. */
const applyBounds = exponentialBounds(0.0001, 2, 20);
/** 10 ms to 164 s: what hashing the store takes. */
const hashBounds = exponentialBounds(0.01, 2, 15);

/** 0.5 ms to 4 s, in milliseconds: etcd's pauses of its index. */
export const indexPauseBounds = exponentialBounds(0.5, 2, 14);
/** 100 ms to 51 s: what sending a snapshot to another member takes. */
const snapshotBounds = exponentialBounds(0.1, 2, 10);
/** 0.1 ms to 3.3 s: a message to another member and back. */
const roundTripBounds = exponentialBounds(0.0001, 2, 16);

/** 5 ms to 10 s: what a call takes, streams included. */
const callBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Traffic with one other member; the peer room's own counts have this shape. */
export interface PeerTraffic {
  readonly id: bigint;
  readonly isActive: boolean;
  readonly disconnects: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly sentFailures: number;
  readonly receivedFailures: number;
  readonly snapshotsSent: number;
  readonly snapshotsSending: number;
  readonly snapshotSendFailures: number;
  readonly snapshotsReceived: number;
  readonly snapshotsReceiving: number;
  readonly snapshotReceiveFailures: number;
}

/** What one RPC method has counted; the gRPC room's own counters have this shape. */
export interface MethodCounts {
  readonly service: string;
  readonly method: string;
  readonly type: string;
  readonly started: number;
  readonly messagesReceived: number;
  readonly messagesSent: number;
  /** Calls ended, by status code. */
  readonly handled: readonly number[];
}

/**
 * All that the server measures, as plain numbers that rooms count up as they go; names and text come only when
 * someone scrapes. Durations are seconds, unless their name says otherwise. Gauges that would cost something to
 * keep current are filled in by `beforeScrape`.
 */
export class Metrics {
  readonly server = {
    /** Member id in hexadecimal, once known. */
    id: '',
    /** `3.7`, once decided. */
    clusterVersion: '',
    hasLeader: 0,
    isLeader: 0,
    isLearner: 0,
    leaderChangesSeen: 0,
    stuckLogHandovers: 0,
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
    /** Feature gates by name: stage and whether they are on. */
    features: new Map<string, { readonly stage: string; readonly enabled: boolean }>(),
    /** By operation and whether it succeeded: what applying one request takes. */
    applyDuration: new HistogramFamily(['version', 'op', 'success'], applyBounds),
    rangeDuration: new HistogramFamily(['success'], applyBounds),
    /** By request type and whether it succeeded: from proposal to answer. */
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
    /** Seconds since the epoch of the last compaction. */
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
    /** Peers by member id in hexadecimal; the first of a pair is this member. */
    knownPeers: new CounterFamily(['Local', 'Remote']),
    /** By the other member's id in hexadecimal, seconds. */
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

  /** Filled with extensive metrics alone: from the request's head to the call's end. */
  readonly callDurations = new HistogramFamily(['grpc_method', 'grpc_service', 'grpc_type'], callBounds);

  /** The counters of every RPC method; the gRPC server provides them. */
  methods: () => Iterable<MethodCounts> = () => [];
  /** Lines of the audit log, since the start. */
  audit: { readonly written: number; readonly dropped: number } = { written: 0, dropped: 0 };

  /** Traffic with the other members; the transport provides it. */
  peers: () => Iterable<PeerTraffic> = () => [];

  readonly #hooks: (() => void)[] = [];

  /** Runs `fill` before each scrape, to set gauges that are cheaper to read than to keep. */
  beforeScrape(fill: () => void): void {
    this.#hooks.push(fill);
  }

  fill(): void {
    for (const hook of this.#hooks) hook();
  }
}
