import { performance } from 'node:perf_hooks';
import type { Logger } from '../../ports/logger.ts';
import type { PeerService } from '../../ports/peer-client.ts';
import type { PeerTransportHandler, SnapshotPart } from '../../ports/peer-transport.ts';
import type { Message } from '../../wire/gen/raftpb.ts';
import { createPeerHttpHandler } from '../http-handler.ts';
import { PeerServer } from '../server.ts';
import { Transport } from '../transport.ts';

const silent = (): void => undefined;
export const silentLogger: Logger = { debug: silent, info: silent, warn: silent, error: silent };

export const wallClock = {
  now: (): number => performance.now(),
  wall: (): number => Date.now(),
};

/** Records the callbacks of a transport. */
export class Recorder implements PeerTransportHandler {
  readonly messages: Message[] = [];
  readonly unreachable: bigint[] = [];
  readonly snapshotReports: [bigint, boolean][] = [];
  readonly gone: bigint[] = [];
  readonly removedIds = new Set<bigint>();
  readonly snapshots: { message: Message; bytes: Buffer; part: SnapshotPart }[] = [];
  /** The received part of the last interrupted snapshot. */
  kept: { id: string; bytes: Buffer } | undefined;
  snapshotFailure: Error | undefined;
  /** Why all messages are refused. */
  refusal: string | undefined;
  removed = 0;
  logBehind = false;

  onMessages(messages: readonly Message[]): string | undefined {
    if (this.refusal === undefined) this.messages.push(...messages);
    return this.refusal;
  }

  isLogBehind(): boolean {
    return this.logBehind;
  }

  isIdRemoved(id: bigint): boolean {
    return this.removedIds.has(id);
  }

  reportUnreachable(id: bigint): void {
    this.unreachable.push(id);
  }

  reportSnapshot(id: bigint, ok: boolean): void {
    this.snapshotReports.push([id, ok]);
  }

  async onSnapshot(message: Message, chunks: AsyncIterable<Buffer>, part: SnapshotPart): Promise<void> {
    const parts: Buffer[] = part.offset > 0 && this.kept !== undefined ? [this.kept.bytes] : [];
    this.kept = undefined;
    try {
      for await (const chunk of chunks) {
        parts.push(chunk);
        if (this.snapshotFailure !== undefined) throw this.snapshotFailure;
      }
    } catch (error) {
      if (part.id !== undefined) this.kept = { id: part.id, bytes: Buffer.concat(parts) };
      throw error;
    }
    this.snapshots.push({ message, bytes: Buffer.concat(parts), part });
  }

  keptOfSnapshot(id: string): number {
    return this.kept?.id === id ? this.kept.bytes.length : 0;
  }

  onPeerGone(id: bigint): void {
    this.gone.push(id);
  }

  onRemoved(): void {
    this.removed += 1;
  }
}

/** Answers that the tests of raft messages do not need. */
export function noPeerService(clusterId: bigint): PeerService {
  const none = (): never => {
    throw new Error('not asked for');
  };
  return {
    clusterId,
    members: () => [],
    versions: () => ({ cluster: '3.7.0', storage: '3.7.0' }),
    promote: none,
    rejoin: none,
    renewLease: none,
    leaseTimeToLive: none,
    hashKv: none,
    downgradeEnabled: none,
  };
}

export interface TestMemberOptions {
  readonly id: bigint;
  readonly handler: PeerTransportHandler;
  readonly clusterId?: bigint;
  readonly serverVersion?: string;
  readonly service?: PeerService;
  /** The system's choice by default. */
  readonly port?: number;
  /** Listens on this socket file instead of a port. */
  readonly socketPath?: string;
}

/** A transport with its listener, on a port of 127.0.0.1. */
export class TestMember {
  readonly id: bigint;
  readonly url: string;
  readonly port: number;
  readonly transport: Transport;
  readonly #server: PeerServer;
  readonly #opened: { streams: number };

  private constructor(
    id: bigint,
    url: string,
    transport: Transport,
    server: PeerServer,
    opened: { streams: number },
  ) {
    this.id = id;
    this.url = url;
    this.port = Number(/:(\d+)$/.exec(url)?.[1] ?? 0);
    this.transport = transport;
    this.#server = server;
    this.#opened = opened;
  }

  static async start(options: TestMemberOptions): Promise<TestMember> {
    const { id, handler, clusterId = 0xc1n, serverVersion = '3.7.1' } = options;
    // The URL is known after the server listens, but requests may come before.
    const late: { transport?: Transport } = {};
    const server = new PeerServer({
      handler: createPeerHttpHandler({
        service: options.service ?? noPeerService(clusterId),
        serverVersion,
        logger: silentLogger,
        raft: (request, response) => late.transport?.serve(request, response),
      }),
    });
    const { socketPath } = options;
    const port = await server.listen({
      ...(socketPath === undefined ? { host: '127.0.0.1', port: options.port ?? 0 } : { path: socketPath }),
      secure: false,
    });
    const opened = { streams: 0 };
    const info = (message: string): void => {
      if (message === 'opened stream from peer') opened.streams += 1;
    };
    const url = socketPath === undefined ? `http://127.0.0.1:${port}` : `unix://${socketPath}`;
    const transport = new Transport({
      localId: id,
      clusterId,
      serverVersion,
      handler,
      urls: [url],
      logger: { ...silentLogger, info },
      clock: wallClock,
      dialTimeoutMs: 2_000,
      reconnectTimeoutMs: 500,
    });
    late.transport = transport;
    return new TestMember(id, url, transport, server, opened);
  }

  /** Number of streams from other members opened so far. There are two from each member. */
  get streamsOpened(): number {
    return this.#opened.streams;
  }

  async stop(): Promise<void> {
    // The listener goes first: otherwise the other side may connect once more, and lose that connection too.
    const closed = this.#server.close();
    this.transport.stop();
    await closed;
  }
}
