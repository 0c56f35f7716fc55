/** Limits of one connection, so that a misbehaving client affects only its own connection. */
export interface ConnectionLimits {
  /** Streams open at a time, announced when below `UNLIMITED_STREAMS`; more are refused with REFUSED_STREAM. */
  readonly maxConcurrentStreams: number;
  /** Accounting size of one request's header list, announced; a larger one ends its stream. */
  readonly maxHeaderListBytes: number;
  /** Bytes of DATA a stream may send before the application consumes any. */
  readonly streamReceiveWindow: number;
  /** Bytes of DATA in flight for all streams together. */
  readonly connectionReceiveWindow: number;
  /** When this many bytes wait for the socket, streams keep their data queued and no requests are read. */
  readonly maxSocketBacklogBytes: number;
  /** From the first byte to the client's SETTINGS, in milliseconds. */
  readonly handshakeTimeoutMs: number;
  /** Frames that need work without making progress, between two response frames or within one second. */
  readonly maxIdleFrames: number;
  /** Streams the client may reset within `RESET_WINDOW_MS` if they are most of those it opened. */
  readonly maxResets: number;
  /** Time between a first GOAWAY and the end of the connection if its streams do not end, in milliseconds. */
  readonly closeGraceMs: number;
}

/** etcd's default for --max-concurrent-streams: nothing is announced. */
export const UNLIMITED_STREAMS = 0xffffffff;

/** Applies even if the operator sets no limit: a stream uses about a kilobyte before its request is complete. */
export const STREAMS_CEILING = 65_536;

/** Window over which resets by the client are counted, in milliseconds. */
export const RESET_WINDOW_MS = 10_000;

/** CONTINUATION frames of one header block; at full frames this is far beyond `maxHeaderListBytes`. */
export const MAX_CONTINUATIONS = 64;

export const DEFAULT_LIMITS: ConnectionLimits = {
  maxConcurrentStreams: UNLIMITED_STREAMS,
  maxHeaderListBytes: 256 * 1024,
  streamReceiveWindow: 128 * 1024,
  connectionReceiveWindow: 16 * 1024 * 1024,
  maxSocketBacklogBytes: 1024 * 1024,
  handshakeTimeoutMs: 10_000,
  maxIdleFrames: 1_000,
  maxResets: 10_000,
  closeGraceMs: 1_000,
};

/** Keepalive in both directions, as grpc-go's server parameters and enforcement policy. Milliseconds. */
export interface KeepalivePolicy {
  /** Pings from a client closer together than this are strikes; the third strike ends the connection. */
  readonly minTimeMs: number;
  /** Without a frame from the client for this long the server pings. */
  readonly intervalMs: number;
  /** Without an answer to that ping for this long the connection is closed. */
  readonly timeoutMs: number;
}

/** etcd's defaults of --grpc-keepalive-min-time, -interval and -timeout. */
export const DEFAULT_KEEPALIVE: KeepalivePolicy = {
  minTimeMs: 5_000,
  intervalMs: 2 * 3_600_000,
  timeoutMs: 20_000,
};

/** Without streams a client has no reason to ping more often than this (grpc-go's PermitWithoutStream: false). */
export const IDLE_PING_MIN_MS = 2 * 3_600_000;

/** Strikes a client has before `too_many_pings`. */
export const MAX_PING_STRIKES = 2;
