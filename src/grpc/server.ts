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
 * responds with a message that is too large for memory: the source is read as the client's windows open.
 * `call.metadata`, `call.deadlineAt`, `call.peer` and `call.session` (socket, client certificate) are available when
 * needed. After the end of a call its methods do nothing.
 *
 * One port serves HTTP/2 and HTTP/1.1: see `protocol-sniffer.ts`; HTTP/1.1 connections go to `http1`.
 */
import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import { assert } from '../lib/assert.ts';
import {
  Connection,
  type ConnectionOptions,
  type ConnectionOwner,
  type TrafficCounters,
} from '../http2/connection.ts';
import { Endings } from '../http2/endings.ts';
import { FlushScheduler } from '../http2/flush-scheduler.ts';
import { type HeaderField, versionIn } from '../http2/header-field.ts';
import { type HeldAccount, HeldBytes, type SharedHeldBytes } from '../http2/held-bytes.ts';
import {
  type ConnectionLimits,
  DEFAULT_KEEPALIVE,
  DEFAULT_LIMITS,
  type KeepalivePolicy,
} from '../http2/limits.ts';
import type { Http2Stream, StreamConnection } from '../http2/stream.ts';
import { Turns } from '../http2/turns.ts';
import { EMPTY } from '../wire/reader.ts';
import type { CallContext } from './call-context.ts';
import { ClientVersions } from './client-versions.ts';
import type { CallTracer } from './call-trace.ts';
import type { CallWatcher } from './call-observer.ts';
import { DeadlineWheel } from './deadline-wheel.ts';
import { type ListenAddress, Listeners } from './listeners.ts';
import { type LocalCall, type LocalRequest, type LocalSink, startLocalCall } from './local-call.ts';
import { MESSAGE_PREFIX_BYTES } from './message-reader.ts';
import type { MessageCounters, MethodStats } from './method-stats.ts';
import type { Logger } from '../ports/logger.ts';
import { errors } from '../wire/errors.ts';
import { readRequestHeaders, type RequestHeaders } from './request-headers.ts';
import { RefusedRequest } from './refused-request.ts';
import { TEMPLATES, trailersOnlyBlock } from './response-blocks.ts';
import { type MethodDescriptor, type Route, Router } from './router.ts';
import { type Session, SocketSession } from './session.ts';
import type { SlowCalls } from './slow-calls.ts';
import { Status } from './status.ts';
import { StreamCall, type StreamHandler } from './stream-call.ts';
import { UnaryCall, type UnaryHandler } from './unary-call.ts';

export interface GrpcServerOptions {
  /** Longest request message in bytes; a longer one ends its call with RESOURCE_EXHAUSTED. */
  readonly maxReceiveBytes: number;
  readonly limits?: Partial<ConnectionLimits>;
  readonly keepalive?: Partial<KeepalivePolicy>;
  /** Serves HTTP/1.1 connections. Without it they are closed. It need not listen. */
  readonly http1?: Pick<EventEmitter, 'emit'>;
  readonly logger?: Logger;
  /** Bytes of incomplete requests and unread responses that all connections together may hold. */
  readonly maxHeldBytes?: number;
  /** Given if that limit is for several threads together. */
  readonly sharedHeldBytes?: SharedHeldBytes | undefined;
  /** Receives slow unary calls. */
  readonly slowCalls?: SlowCalls;
  /** Observes all calls. */
  readonly watcher?: CallWatcher | undefined;
  /** Traces calls. */
  readonly tracer?: CallTracer | undefined;
  /** Maximum number of connections on one address. Further ones are closed at once. */
  readonly maxConnections?: number;
  /** Open connections of each address, shared with other threads that listen there. Without it, this thread counts. */
  readonly sharedConnections?: Int32Array | undefined;
}

/** Memory for the large incoming messages of one connection. */
const RECEIVE_BUDGET_BYTES = 32 * 1024 * 1024;
const MAX_HELD_BYTES = 512 * 1024 * 1024;
const SWEEP_MS = 1_000;
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
  readonly #listeners: Listeners;
  readonly #watcher: CallWatcher | undefined;
  readonly #tracer: CallTracer | undefined;
  readonly #held: HeldBytes;
  readonly #connectionOptions: ConnectionOptions;
  readonly #context: CallContext;
  readonly #wheel: DeadlineWheel;
  readonly #headers: RequestHeaders = { contentType: '', timeoutMs: -1, encoding: '', clientVersion: '' };
  readonly #receiveBudgetBytes: number;
  readonly #httpSessions = new WeakMap<Socket, SocketSession>();
  #sweeper: NodeJS.Timeout | undefined;
  #onIdle: (() => void) | undefined;

  constructor(options: GrpcServerOptions) {
    const now = (): number => performance.now();
    this.#receiveBudgetBytes = Math.max(RECEIVE_BUDGET_BYTES, options.maxReceiveBytes + MESSAGE_PREFIX_BYTES);
    this.#watcher = options.watcher;
    this.#tracer = options.tracer;
    this.#held = new HeldBytes(options.maxHeldBytes ?? MAX_HELD_BYTES, options.sharedHeldBytes);
    this.#wheel = new DeadlineWheel(now);
    this.#context = {
      wheel: this.#wheel,
      counters: this.counters,
      maxReceiveBytes: options.maxReceiveBytes,
      slowCalls: options.slowCalls,
      now,
      sessionOf: (connection) => sessionOf(connection, this.#receiveBudgetBytes),
    };
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    const turns = new Turns(now);
    const endings = new Endings(turns);
    const { http1 } = options;
    this.#listeners = new Listeners({
      logger: options.logger,
      maxConnections: options.maxConnections,
      sharedConnections: options.sharedConnections,
      handshakeTimeoutMs: limits.handshakeTimeoutMs,
      turns,
      endings,
      serveHttp2: (socket) => this.serveHttp2(socket),
      serveHttp1: (socket) => {
        if (http1 === undefined) socket.destroy();
        else http1.emit('connection', socket);
      },
    });
    this.#connectionOptions = {
      limits,
      keepalive: { ...DEFAULT_KEEPALIVE, ...options.keepalive },
      scheduler: this.#scheduler,
      turns,
      endings,
      templates: TEMPLATES,
      now,
      counters: this.counters,
      held: this.#held,
    };
  }

  /** Registers a method with one request and one response. */
  unary(method: MethodDescriptor, handler: UnaryHandler): void {
    const { path } = method;
    const [watcher, tracer] = [this.#watcher, this.#tracer];
    const watched: UnaryHandler = (call, request) => {
      call.trace = tracer?.trace(path, call);
      call.observer = watcher?.observe(path, call, request);
      handler(call, request);
    };
    this.#router.add(method, { unary: watcher === undefined && tracer === undefined ? handler : watched });
  }

  /** Registers a method that streams in at least one direction. */
  stream(method: MethodDescriptor, handler: StreamHandler): void {
    const { path } = method;
    const [watcher, tracer] = [this.#watcher, this.#tracer];
    const watched: StreamHandler = (call) => {
      call.trace = tracer?.trace(path, call);
      call.observer = watcher?.observe(path, call, undefined);
      handler(call);
    };
    this.#router.add(method, { stream: watcher === undefined && tracer === undefined ? handler : watched });
  }

  /** The registered methods, in the order of `methodStats`. */
  methods(): MethodDescriptor[] {
    return this.#router.methods();
  }

  /** Counters of every registered method. */
  methodStats(): MethodStats[] {
    return this.#router.stats();
  }

  /**
   * Calls a method for a client that uses HTTP, or whose connection is in another thread. Handlers see the connection
   * and metadata of that client. Responses go to the sink. Undefined if no such method is registered.
   */
  callLocally(request: LocalRequest, sink: LocalSink): LocalCall | undefined {
    const route = this.#router.find(request.path);
    if (route === undefined) return undefined;
    this.clientVersions.count(route.unary !== undefined, versionIn(request.fields));
    return startLocalCall(route, request, sink, this.#context);
  }

  /** The connection of a client that uses HTTP. */
  httpSession(socket: Socket): Session {
    let session = this.#httpSessions.get(socket);
    if (session === undefined) {
      session = new SocketSession(socket, this.#receiveBudgetBytes);
      this.#httpSessions.set(socket, session);
    }
    return session;
  }

  /** An account for the memory of a further client. It counts towards the same limit as all others. */
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
    const port = await this.#listeners.listen(address);
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
    return port;
  }

  /** Replaces certificate and key of the TLS listeners for new connections. */
  setSecureContext(context: SecureContextOptions): void {
    this.#listeners.setSecureContext(context);
  }

  /** Sends everything that calls have produced so far, with one write for each connection. */
  flushAll(): void {
    this.#scheduler.flushAll();
  }

  /**
   * Stops accepting connections and sends GOAWAY. Resolves when the last call has ended. After `graceMs` milliseconds
   * the remaining calls are canceled.
   */
  async shutdown(graceMs: number): Promise<void> {
    this.#listeners.close();
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
    this.#listeners.close();
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
    this.#listeners.dropUndecided();
    for (const connection of [...this.#connections]) connection.destroy();
    this.#wheel.stop();
  }

  /** Serves an HTTP/2 socket. Its first unread bytes are the preface. */
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
      // It may not be a gRPC client. It gets its response when the request was read, as an HTTP client expects.
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
    // The connection uses the list again for its next request.
    this.#startCall(route, stream, fields.slice(), {
      contentType: headers.contentType,
      timeoutMs: headers.timeoutMs,
      gzip,
    });
    if (endStream) stream.listener?.onData(EMPTY, true);
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

  #sweep(): void {
    const now = this.#context.now();
    for (const connection of this.#connections) connection.sweep(now);
  }
}

function sessionOf(connection: StreamConnection | undefined, receiveBudgetBytes: number): Session {
  assert(connection !== undefined, 'calls on streams have a connection');
  connection.attachment ??= new SocketSession(connection.socket, receiveBudgetBytes);
  return connection.attachment as Session;
}

function refuseEncoding(stream: Http2Stream, headers: RequestHeaders): void {
  const message = `grpc: Decompressor is not installed for grpc-encoding ${JSON.stringify(headers.encoding)}`;
  const { contentType } = headers;
  stream.sendHeadersOnly(trailersOnlyBlock({ code: Status.UNIMPLEMENTED, message }, { contentType }));
}
