import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { PeerObserver, PeerTransportHandler } from '../ports/peer-transport.ts';
import type { Introduction } from './compatibility.ts';
import type { PeerTls } from './request.ts';

/** What all parts of one transport share. */
export interface PeerContext {
  readonly local: Introduction;
  readonly handler: PeerTransportHandler;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly tls: PeerTls | undefined;
  /** Timeout for connecting, in milliseconds. */
  readonly dialTimeoutMs: number;
  /** Milliseconds without a byte after which a stream from a member is closed. */
  readonly readTimeoutMs: number;
  /** Milliseconds without progress after which a stream to a member is closed. */
  readonly writeTimeoutMs: number;
  /** Local address of connections to members; undefined for the system's choice. */
  readonly localAddress: string | undefined;
  /** Milliseconds for which a member whose connections were closed may leave new ones without an answer. */
  readonly reconnectTimeoutMs: number;
  readonly observer: PeerObserver | undefined;
}

/** Default timeout of a silent or blocked stream, in milliseconds; as in etcd. */
export const STREAM_TIMEOUT_MS = 5_000;

/** Milliseconds between heartbeats of an idle stream. etcd uses a third of its timeout. */
export const HEARTBEAT_INTERVAL_MS = 500;

/** Response header of a stream: its heartbeat interval in milliseconds. etcd ignores it. */
export const HEARTBEAT_HEADER = 'x-keystead-heartbeat-ms';
