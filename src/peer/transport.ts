import type { IncomingMessage, ServerResponse } from 'node:http';
import { hex, reasonOf } from '../lib/text.ts';
import type {
  OutgoingSnapshot,
  PeerCounts,
  PeerObserver,
  PeerTransport,
  PeerTransportHandler,
} from '../ports/peer-transport.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Message } from '../wire/gen/raftpb.ts';
import { type PeerContext, STREAM_TIMEOUT_MS } from './context.ts';
import { Peer } from './peer.ts';
import { RaftRequests } from './raft-requests.ts';
import { Remote } from './remote.ts';
import type { PeerTls } from './request.ts';
import { RequestAgents } from './request-agents.ts';
import { discard } from './snapshot-sender.ts';

export interface TransportOptions {
  readonly localId: bigint;
  readonly clusterId: bigint;
  /** The version that this member reports. */
  readonly serverVersion: string;
  /** Peer URLs of this member. */
  readonly urls: readonly string[];
  readonly handler: PeerTransportHandler;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Timeout for connecting, in milliseconds; in etcd it is one second more than the election timeout. */
  readonly dialTimeoutMs: number;
  /** Milliseconds after which a silent or blocked stream is closed; 5,000 by default. */
  readonly readTimeoutMs?: number;
  readonly writeTimeoutMs?: number;
  /** Local address of connections to other members. */
  readonly localAddress?: string | undefined;
  /** Milliseconds for which a member whose connections were closed may leave new ones without an answer. */
  readonly reconnectTimeoutMs: number;
  readonly tls?: PeerTls | undefined;
  readonly observer?: PeerObserver | undefined;
}

/** Maximum number of members outside of the configuration that are answered. */
const MAX_REMOTES = 16;

/** Idle connections for POST requests to one member. */
const IDLE_CONNECTIONS = 4;

/** The transport in etcd's protocol. Incoming requests are passed to `serve` by the listener of the peer URLs. */
export class Transport implements PeerTransport {
  readonly #context: PeerContext;
  readonly #requests: RaftRequests;
  readonly #peers = new Map<bigint, Peer>();
  readonly #remotes = new Map<bigint, Remote>();
  readonly #agents = new RequestAgents({ maxFreeSockets: IDLE_CONNECTIONS });
  #stopped = false;

  constructor(options: TransportOptions) {
    const { localId, clusterId, serverVersion, urls, handler, logger, clock } = options;
    this.#context = {
      handler,
      logger,
      clock,
      dialTimeoutMs: options.dialTimeoutMs,
      reconnectTimeoutMs: options.reconnectTimeoutMs,
      local: { localId, clusterId, serverVersion, urls },
      tls: options.tls,
      readTimeoutMs: options.readTimeoutMs ?? STREAM_TIMEOUT_MS,
      writeTimeoutMs: options.writeTimeoutMs ?? STREAM_TIMEOUT_MS,
      localAddress: options.localAddress,
      observer: options.observer,
    };
    this.#requests = new RaftRequests(this.#context, {
      peer: (id) => this.#peers.get(id),
      status: (id) => (this.#peers.get(id) ?? this.#remotes.get(id))?.status,
      addRemote: (id, remoteUrls) => this.addRemote(id, remoteUrls),
    });
  }

  /** Serves a request for a path under `/raft`. */
  serve(request: IncomingMessage, response: ServerResponse): void {
    this.#requests.serve(request, response);
  }

  addPeer(id: bigint, urls: readonly string[]): void {
    if (this.#stopped || this.#peers.has(id)) return;
    const remote = this.#remotes.get(id);
    remote?.stop();
    this.#remotes.delete(id);
    const options = { context: this.#context, id, urls, agents: this.#agents, status: remote?.status };
    this.#peers.set(id, new Peer(options));
    this.#context.logger.info('added remote peer', { 'remote-peer-id': hex(id), 'peer-urls': urls });
  }

  addRemote(id: bigint, urls: readonly string[]): void {
    if (this.#stopped || id === this.#context.local.localId) return;
    if (this.#peers.has(id) || this.#remotes.has(id) || this.#remotes.size >= MAX_REMOTES) return;
    this.#remotes.set(id, new Remote({ context: this.#context, id, urls, agents: this.#agents }));
  }

  updatePeer(id: bigint, urls: readonly string[]): void {
    this.#peers.get(id)?.updateUrls(urls);
  }

  removePeer(id: bigint): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    this.#peers.delete(id);
    peer.stop();
    this.#context.logger.info('removed remote peer', { 'remote-peer-id': hex(id) });
  }

  removeAllPeers(): void {
    for (const id of [...this.#peers.keys()]) this.removePeer(id);
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      const peer = this.#peers.get(message.to);
      if (peer !== undefined) peer.push(message);
      else this.#remotes.get(message.to)?.send(message);
    }
    for (const peer of this.#peers.values()) peer.flush();
  }

  sendSnapshot(message: Message, snapshot: OutgoingSnapshot): void {
    const peer = this.#peers.get(message.to);
    if (peer !== undefined) {
      peer.sendSnapshot(message, snapshot);
      return;
    }
    const { handler, logger } = this.#context;
    discard(snapshot)
      .catch((error: unknown) => logger.warn('failed to close a snapshot', { error: reasonOf(error) }))
      .finally(() => handler.reportSnapshot(message.to, false));
  }

  activeSince(id: bigint): number | undefined {
    return this.#peers.get(id)?.status.activeSince;
  }

  roundTripMs(id: bigint): number | undefined {
    return this.#peers.get(id)?.roundTripMs;
  }

  activePeers(): number {
    let count = 0;
    for (const { status } of this.#peers.values()) if (status.isActive) count += 1;
    return count;
  }

  *counts(): Iterable<PeerCounts> {
    for (const { status } of this.#peers.values()) yield status;
    for (const { status } of this.#remotes.values()) yield status;
  }

  stop(): void {
    this.#stopped = true;
    this.removeAllPeers();
    for (const remote of this.#remotes.values()) remote.stop();
    this.#remotes.clear();
    this.#agents.destroy();
  }
}
