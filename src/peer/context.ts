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
  /** Milliseconds in which a connection must stand. */
  readonly dialTimeoutMs: number;
  /** Milliseconds without a byte after which a stream from a member is given up. */
  readonly readTimeoutMs: number;
  /** Milliseconds without progress after which a stream to a member is given up. */
  readonly writeTimeoutMs: number;
  /** The address that connections to members come from; undefined leaves it to the system. */
  readonly localAddress: string | undefined;
  readonly observer: PeerObserver | undefined;
}

/** Milliseconds after which a silent or blocked stream is given up, unless said otherwise; etcd's. */
export const STREAM_TIMEOUT_MS = 5_000;

/** Milliseconds between heartbeats of an idle stream; etcd's are a third of its timeout apart. */
export const HEARTBEAT_INTERVAL_MS = 500;

/** Tells who asks for a stream how often it will hear of this member, in milliseconds; etcd passes over it. */
export const HEARTBEAT_HEADER = 'x-keystead-heartbeat-ms';
