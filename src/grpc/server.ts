/**
 * A gRPC server over HTTP/2, made for many small calls.
 *
 *     const server = new GrpcServer({ maxReceiveBytes: 2 * 1024 * 1024, http1 });
 *     server.unary(KV.methods.put, (call, request) => {
 *       const put = PutRequest.decode(request);           // zero-copy views of the socket's memory
 *       submit(put, (response) => call.respond(PutResponse.encode(response)));   // now or later, or call.fail(code, text)
 *     });
 *     server.stream(Watch.methods.watch, (call) => {      // set the callbacks before returning
 *       call.onMessage = (message) => { if (!call.write(encoded)) waitFor(call); };
 *       call.onWritable = () => { goOn(call); };          // after write() returned false
 *       call.onHalfClose = () => call.end();
 *       call.onCancel = (reason) => { drop(call); };      // deadline, reset (or connection gone), fault
 *     });
 *     await server.listen({ host: '127.0.0.1', port: 2379 });
 *     ...
 *     server.flushAll();                // at the end of a batch of responses; otherwise they leave with the next setImmediate
 *     await server.shutdown(5_000);     // GOAWAY, wait for calls at most that long, close
 *
 * Messages are raw bytes in both directions. No promise is made per call. A response given in parts is sent without
 * copying the large ones, so parts must not change after `respond` or `write`. `call.respondStream(total, source)`
 * answers with a message too large for memory: the source is read as the client's windows open. `call.metadata`,
 * `call.deadlineAt`, `call.peer` and `call.session` (socket, client certificate) are there when asked for. After the
 * end of a call every method of it does nothing.
 *
 * One port serves HTTP/2 and HTTP/1.1: see `protocol-sniffer.ts`; HTTP/1.1 connections go to `http1`.
 */
import type { Server as HttpServer } from 'node:http';
import { createServer as createNetServer, type ListenOptions, type Server, type Socket } from 'node:net';
import {
  createServer as createTlsServer,
  type SecureContextOptions,
  type Server as TlsServer,
  type TlsOptions,
  type TLSSocket,
} from 'node:tls';
import { assert } from '../lib/assert.ts';
import {
  Connection,
  type ConnectionOptions,
  type ConnectionOwner,
  type TrafficCounters,
} from '../http2/connection.ts';
import { FlushScheduler } from '../http2/flush-scheduler.ts';
import type { HeaderField } from '../http2/header-field.ts';
import { type HeldAccount, HeldBytes } from '../http2/held-bytes.ts';
import {
  type ConnectionLimits,
  DEFAULT_KEEPALIVE,
  DEFAULT_LIMITS,
  type KeepalivePolicy,
} from '../http2/limits.ts';
import { sniffProtocol } from '../http2/protocol-sniffer.ts';
import type { Http2Stream, StreamConnection } from '../http2/stream.ts';
import type { CallContext } from './call-context.ts';
import { ClientVersions } from './client-versions.ts';
import type { CallWatcher } from './call-observer.ts';
import { DeadlineWheel } from './deadline-wheel.ts';
import { type LocalCall, type LocalRequest, type LocalSink, startLocalCall } from './local-call.ts';
import { MESSAGE_PREFIX_BYTES } from './message-reader.ts';
import type { MessageCounters, MethodStats } from './method-stats.ts';
import type { Logger } from '../ports/logger.ts';
import { errors } from '../wire/errors.ts';
import { readRequestHeaders, type RequestHeaders } from './request-headers.ts';
import { RefusedRequest } from './refused-request.ts';
import { TEMPLATES, trailersOnlyBlock } from './response-blocks.ts';
import { type MethodDescriptor, type Route, Router } from './router.ts';
import { Session } from './session.ts';
import { Status } from './status.ts';
import { StreamCall, type StreamHandler } from './stream-call.ts';
import { UnaryCall, type UnaryHandler } from './unary-call.ts';

export interface GrpcServerOptions {
  /** Longest request message in bytes; a longer one ends its call with RESOURCE_EXHAUSTED. */
  readonly maxReceiveBytes: number;
  readonly limits?: Partial<ConnectionLimits>;
  readonly keepalive?: Partial<KeepalivePolicy>;
  /** Serves the connections that speak HTTP/1.1; without it they are closed. It need not listen. */
  readonly http1?: HttpServer;
  readonly logger?: Logger;
  /** Bytes that all connections may hold together of unfinished requests and responses not taken. */
  readonly maxHeldBytes?: number;
  /** Sees every call. */
  readonly watcher?: CallWatcher | undefined;
  /** Connections on one address, above which further ones are closed at once. */
  readonly maxConnections?: number;
}

/** Keeps a TLS listener's certificates up to date and looks at its connections after their handshakes. */
export interface TlsGuard {
  attach(server: TlsServer): void;
  /** Calls back for a connection that may go on; it ends any other itself. */
  admit(socket: TLSSocket, admitted: () => void): void;
  logRefused(socket: TLSSocket, error: Error): void;
}

/** Where to listen: `host` and `port`, or `path` of a unix socket; with TLS if `tls` is given. */
export interface ListenAddress {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  readonly tls?: TlsOptions;
  /** What a TLS listener is held to beyond its options. */
  readonly guard?: TlsGuard;
  /** What the address serves; both unless said otherwise. */
  readonly protocols?: 'both' | 'grpc' | 'http1';
}

/** What the large messages of one connection may occupy while they arrive. */
const RECEIVE_BUDGET_BYTES = 32 * 1024 * 1024;
const MAX_HELD_BYTES = 512 * 1024 * 1024;
const SWEEP_MS = 1_000;
/** Milliseconds between two log lines on connections over the limit. */
const DROP_LOG_MS = 5_000;
const NO_ENCODINGS: readonly string[] = ['', 'identity'];

export class GrpcServer implements ConnectionOwner {
  /** Bytes of all sockets and messages since the start. */
  readonly counters: TrafficCounters & MessageCounters = {
    socketBytesRead: 0,
    socketBytesWritten: 0,
    messageBytesReceived: 0,
    messageBytesSent: 0,
  };

  readonly clientVersions = new ClientVersions();

  readonly #router = new Router();
  readonly #scheduler = new FlushScheduler();
  readonly #connections = new Set<Connection>();
  /** Sockets that have not shown their protocol yet. */
  readonly #undecided = new Set<Socket>();
  readonly #listeners: Server[] = [];
  readonly #http1: HttpServer | undefined;
  readonly #logger: Logger | undefined;
  readonly #watcher: CallWatcher | undefined;
  readonly #held: HeldBytes;
  readonly #maxConnections: number | undefined;
  readonly #connectionOptions: ConnectionOptions;
  readonly #context: CallContext;
  readonly #wheel: DeadlineWheel;
  readonly #headers: RequestHeaders = { contentType: '', timeoutMs: -1, encoding: '', clientVersion: '' };
  readonly #receiveBudgetBytes: number;
  readonly #httpSessions = new WeakMap<Socket, Session>();
  #sweeper: NodeJS.Timeout | undefined;
  #onIdle: (() => void) | undefined;

  constructor(options: GrpcServerOptions) {
    const now = (): number => performance.now();
    this.#receiveBudgetBytes = Math.max(RECEIVE_BUDGET_BYTES, options.maxReceiveBytes + MESSAGE_PREFIX_BYTES);
    this.#http1 = options.http1;
    this.#watcher = options.watcher;
    this.#held = new HeldBytes(options.maxHeldBytes ?? MAX_HELD_BYTES);
    this.#logger = options.logger;
    this.#maxConnections = options.maxConnections;
    this.#wheel = new DeadlineWheel(now);
    this.#context = {
      wheel: this.#wheel,
      counters: this.counters,
      maxReceiveBytes: options.maxReceiveBytes,
      now,
      sessionOf: (connection) => sessionOf(connection, this.#receiveBudgetBytes),
    };
    this.#connectionOptions = {
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      keepalive: { ...DEFAULT_KEEPALIVE, ...options.keepalive },
      scheduler: this.#scheduler,
      templates: TEMPLATES,
      now,
      counters: this.counters,
      held: this.#held,
    };
  }

  /** Registers a method with one request and one response. */
  unary(method: MethodDescriptor, handler: UnaryHandler): void {
    const { path } = method;
    const watcher = this.#watcher;
    const watched: UnaryHandler = (call, request) => {
      call.observer = watcher?.observe(path, call, request);
      handler(call, request);
    };
    this.#router.add(method, { unary: watcher === undefined ? handler : watched });
  }

  /** Registers a method that streams in at least one direction. */
  stream(method: MethodDescriptor, handler: StreamHandler): void {
    const { path } = method;
    const watcher = this.#watcher;
    const watched: StreamHandler = (call) => {
      call.observer = watcher?.observe(path, call, undefined);
      handler(call);
    };
    this.#router.add(method, { stream: watcher === undefined ? handler : watched });
  }

  /** Counters of every registered method. */
  methodStats(): MethodStats[] {
    return this.#router.stats();
  }

  /**
   * Calls a method on behalf of a client that came by HTTP. Handlers see that client's connection and metadata;
   * responses go to the sink. Undefined where no such method is registered.
   */
  callLocally(request: LocalRequest, sink: LocalSink): LocalCall | undefined {
    const route = this.#router.find(request.path);
    if (route === undefined) return undefined;
    const { socket } = request;
    let session = this.#httpSessions.get(socket);
    if (session === undefined) {
      session = new Session(socket, this.#receiveBudgetBytes);
      this.#httpSessions.set(socket, session);
    }
    const version = request.metadata.find(([name]) => name === 'client-api-version')?.[1] ?? '';
    this.clientVersions.count(route.unary !== undefined, version);
    return startLocalCall(route, request, sink, { context: this.#context, session });
  }

  /** For what is held for a client that came by HTTP; it counts with what all others hold. */
  heldAccount(): HeldAccount {
    return this.#held.account();
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /**
   * Starts listening on one more address and resolves with the port (0 for a unix socket).
   * Rejects with the socket's error, for example EADDRINUSE.
   */
  async listen(address: ListenAddress): Promise<number> {
    const listener =
      address.tls === undefined ? this.#plainListener(address) : this.#tlsListener(address, address.tls);
    if (this.#maxConnections !== undefined) this.#limit(listener, this.#maxConnections);
    const where: ListenOptions =
      address.path === undefined ? { host: address.host, port: address.port } : { path: address.path };
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject);
      listener.listen({ ...where, backlog: 4096 }, () => {
        listener.off('error', reject);
        resolve();
      });
    });
    // Accepting fails for want of file descriptors, for example; those that are accepted are served all the same.
    listener.on('error', (error) =>
      this.#logger?.warn('failed to accept a connection', { error: error.message }),
    );
    this.#listeners.push(listener);
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
    const bound = listener.address();
    return typeof bound === 'object' && bound !== null ? bound.port : 0;
  }

  #limit(listener: Server, maxConnections: number): void {
    listener.maxConnections = maxConnections;
    let loggedMs = -Infinity;
    listener.on('drop', () => {
      const now = performance.now();
      if (now - loggedMs < DROP_LOG_MS) return;
      loggedMs = now;
      this.#logger?.warn('closed a connection, as there are as many as are allowed', {
        limit: maxConnections,
      });
    });
  }

  /** Replaces certificate and key of the TLS listeners for connections to come. */
  setSecureContext(context: SecureContextOptions): void {
    for (const listener of this.#listeners) {
      if ('setSecureContext' in listener) {
        (listener as Server & { setSecureContext(context: SecureContextOptions): void }).setSecureContext(
          context,
        );
      }
    }
  }

  /** Sends everything that calls have produced so far, one write a connection. */
  flushAll(): void {
    this.#scheduler.flushAll();
  }

  /**
   * Stops accepting, tells clients to go elsewhere, and resolves when the last call has ended, or after `graceMs`
   * milliseconds with the rest cut off.
   */
  async shutdown(graceMs: number): Promise<void> {
    this.#closeListeners();
    for (const connection of [...this.#connections]) connection.shutdown();
    if (this.#connections.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, graceMs);
        this.#onIdle = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.close();
  }

  /** Stops at once. */
  close(): void {
    this.#closeListeners();
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
    for (const socket of this.#undecided) socket.destroy();
    for (const connection of [...this.#connections]) connection.destroy();
    this.#wheel.stop();
  }

  /** Serves a socket that is known to speak HTTP/2; its first unread bytes are the preface. */
  serveHttp2(socket: Socket): void {
    this.#connections.add(new Connection(socket, this, this.#connectionOptions));
  }

  onConnectionClosed(connection: Connection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#onIdle?.();
  }

  onRequest(stream: Http2Stream, fields: readonly HeaderField[], endStream: boolean): void {
    const headers = this.#headers;
    const refusal = readRequestHeaders(fields, stream.method, headers);
    if (refusal !== undefined) {
      // Not a gRPC client, perhaps: it gets its answer when its request has been read, as an HTTP client expects.
      const refused = new RefusedRequest(stream, refusal);
      if (endStream) refused.answer();
      else stream.listener = refused;
      return;
    }
    const route = this.#router.find(stream.path);
    if (route === undefined) {
      const status = { code: Status.UNIMPLEMENTED, message: this.#router.explain(stream.path) };
      stream.sendHeadersOnly(trailersOnlyBlock(status, { contentType: headers.contentType }));
      return;
    }
    const gzip = headers.encoding === 'gzip';
    if (!gzip && !NO_ENCODINGS.includes(headers.encoding)) {
      refuseEncoding(stream, headers);
      return;
    }
    if (!this.clientVersions.count(route.unary !== undefined, headers.clientVersion)) {
      const { code, message } = errors.InvalidClientAPIVersion;
      stream.sendHeadersOnly(trailersOnlyBlock({ code, message }, { contentType: headers.contentType }));
      return;
    }
    this.#startCall(route, stream, fields, {
      contentType: headers.contentType,
      timeoutMs: headers.timeoutMs,
      gzip,
    });
    if (endStream) stream.listener?.onData(NO_DATA, true);
  }

  #startCall(
    route: Route,
    stream: Http2Stream,
    fields: readonly HeaderField[],
    head: { contentType: string; timeoutMs: number; gzip: boolean },
  ): void {
    if (route.unary !== undefined) {
      const call = new UnaryCall(stream, this.#context, route.stats, fields, head);
      call.handler = route.unary;
      stream.listener = call;
      return;
    }
    const call = new StreamCall(stream, this.#context, route.stats, fields, head);
    call.clientStreaming = route.clientStreaming;
    stream.listener = call;
    route.stream?.(call);
  }

  #plainListener(address: ListenAddress): Server {
    const { protocols = 'both' } = address;
    return createNetServer({ noDelay: true }, (socket) => {
      if (protocols === 'http1') this.#serveHttp1(socket);
      else this.#sniff(socket, protocols === 'both');
    });
  }

  #tlsListener(address: ListenAddress, tls: TlsOptions): Server {
    const { protocols = 'both', guard } = address;
    const listener = createTlsServer({
      handshakeTimeout: this.#connectionOptions.limits.handshakeTimeoutMs,
      ...tls,
      ...(protocols === 'http1' ? { ALPNProtocols: ['http/1.1'] } : { ALPNCallback: chooseProtocol }),
    });
    guard?.attach(listener);
    const serve = (socket: TLSSocket): void => {
      socket.setNoDelay(true);
      if (protocols === 'http1' || socket.alpnProtocol === 'http/1.1') this.#serveHttp1(socket);
      else this.#sniff(socket, protocols === 'both' && socket.alpnProtocol !== 'h2');
    };
    listener.on('secureConnection', (socket) => {
      if (guard === undefined) serve(socket);
      else guard.admit(socket, () => serve(socket));
    });
    listener.on('tlsClientError', (error, socket) => {
      if (guard === undefined)
        this.#logger?.warn('rejected connection on client endpoint', { error: error.message });
      else guard.logRefused(socket, error);
      socket.destroy();
    });
    return listener;
  }

  #sniff(socket: Socket, http1Allowed: boolean): void {
    this.#undecided.add(socket);
    socket.once('close', () => this.#undecided.delete(socket));
    sniffProtocol(
      socket,
      {
        http2: () => {
          this.#undecided.delete(socket);
          this.serveHttp2(socket);
        },
        http1: () => {
          this.#undecided.delete(socket);
          if (http1Allowed) this.#serveHttp1(socket);
          else socket.destroy();
        },
      },
      this.#connectionOptions.limits.handshakeTimeoutMs,
    );
  }

  #serveHttp1(socket: Socket): void {
    if (this.#http1 === undefined) socket.destroy();
    else this.#http1.emit('connection', socket);
  }

  #sweep(): void {
    const now = this.#context.now();
    for (const connection of this.#connections) connection.sweep(now);
  }

  #closeListeners(): void {
    for (const listener of this.#listeners) listener.close();
    this.#listeners.length = 0;
  }
}

const NO_DATA = Buffer.alloc(0);

/**
 * gRPC clients offer h2 alone. A client that offers HTTP/1.1 as well (a browser, curl, a metrics scraper) wants the
 * HTTP endpoints, which are served as HTTP/1.1.
 */
function chooseProtocol({ protocols }: { protocols: string[] }): string | undefined {
  if (protocols.includes('http/1.1')) return 'http/1.1';
  return protocols.includes('h2') ? 'h2' : undefined;
}

function sessionOf(connection: StreamConnection | undefined, receiveBudgetBytes: number): Session {
  assert(connection !== undefined, 'calls on streams have a connection');
  connection.attachment ??= new Session(connection.socket, receiveBudgetBytes);
  return connection.attachment as Session;
}

function refuseEncoding(stream: Http2Stream, headers: RequestHeaders): void {
  const message = `grpc: Decompressor is not installed for grpc-encoding ${JSON.stringify(headers.encoding)}`;
  const { contentType } = headers;
  stream.sendHeadersOnly(trailersOnlyBlock({ code: Status.UNIMPLEMENTED, message }, { contentType }));
}
