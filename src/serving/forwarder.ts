import type { CancelReason } from '../grpc/call.ts';
import type { GrpcServer } from '../grpc/server.ts';
import { SocketSession } from '../grpc/session.ts';
import type { StreamCall } from '../grpc/stream-call.ts';
import type { UnaryCall } from '../grpc/unary-call.ts';
import { assert } from '../lib/assert.ts';
import { RisingMap } from '../lib/rising-map.ts';
import { KV } from '../wire/services.ts';
import type { BatchReader } from './batch.ts';
import { CallNumbers } from './call-numbers.ts';
import type { ServedMethod } from './core-calls.ts';
import { LocalReads, type LocalReadsOptions } from './local-reads.ts';
import type { Link } from './link.ts';
import { REASONS, ToCore, ToThread } from './records.ts';
import { RemoteSource } from './remote-source.ts';
import { describeClient, ThreadConnection } from './thread-connection.ts';

/** Bytes of a stream's messages on their way to its handler at which no more are read. */
const WINDOW_BYTES = 64 * 1024;

interface ForwardedStream {
  readonly call: StreamCall;
  /** Bytes of requests that the handler has not taken. */
  untakenBytes: number;
  /** Bytes of responses that wait for the client. */
  waitingBytes: number;
  /** A message with a source is being sent. Nothing else is written until the stream has taken all of it. */
  isSending: boolean;
  /** What the core has sent after that message. */
  readonly later: (() => void)[];
}

interface ForwardedSource {
  readonly source: RemoteSource;
  readonly call: UnaryCall | StreamCall;
}

export interface ForwarderOptions {
  readonly grpc: GrpcServer;
  readonly link: Link;
  readonly methods: readonly ServedMethod[];
  /** Undefined if the thread does not read the store. */
  readonly reads: Pick<LocalReadsOptions, 'openStore' | 'slowMs' | 'now'> | undefined;
}

/** Passes each call of a serving thread to the core, and the responses of the core to the client. */
export class Forwarder {
  readonly #grpc: GrpcServer;
  readonly #link: Link;
  /** By number. */
  readonly #unary = new RisingMap<UnaryCall>();
  readonly #numbers = new CallNumbers();
  readonly #streams = new Map<number, ForwardedStream>();
  /** By call: the newest message with a source, to which all chunks of the core belong. */
  readonly #sources = new Map<number, ForwardedSource>();
  readonly #connections = new Map<number, ThreadConnection>();
  /** Set if this thread reads the store. */
  reads: LocalReads | undefined;
  /** By method and code: calls that were forwarded or reported one by one and that have ended. The core counts them. */
  readonly ended: readonly number[][];
  #lastCall = 0;
  #lastConnection = 0;

  constructor({ grpc, link, methods, reads }: ForwarderOptions) {
    this.#grpc = grpc;
    this.#link = link;
    this.ended = methods.map(() => []);
    for (const [index, method] of methods.entries()) {
      if (method.clientStreaming || method.serverStreaming)
        grpc.stream(method, (call) => this.#forwardStream(index, call));
      else if (method.path === KV.methods.range.path && reads !== undefined)
        this.#readHere(index, method, reads);
      else grpc.unary(method, (call, request) => this.#forwardUnary(index, call, request));
    }
  }

  /** Reads a record of the core. */
  onRecord(kind: number, id: number, reader: BatchReader): void {
    switch (kind) {
      case ToThread.RESPONSE: {
        const response = reader.bytes();
        this.#takeUnary(id)?.respond(response, response.length);
        return;
      }
      case ToThread.MESSAGE:
        this.#onMessage(id, reader.bytes());
        return;
      case ToThread.END:
        this.#onEnd(id, reader.u8(), reader.text());
        return;
      case ToThread.TAKEN:
        this.#onTaken(id, reader.f64());
        return;
      case ToThread.SOURCE:
        this.#onSource(id, reader.f64());
        return;
      case ToThread.CHUNK: {
        const chunk = reader.bytes();
        const entry = this.#sources.get(id);
        entry?.source.add(chunk);
        entry?.call.sourceReady();
        return;
      }
      case ToThread.ABORT:
        this.#onAbort(id);
        return;
      case ToThread.CLOSE:
        this.#connections.get(id)?.socket.destroy();
        return;
      default:
        assert(this.reads?.onRecord(kind, id, reader) === true, 'the core sends known records');
    }
  }

  #readHere(index: number, method: ServedMethod, options: NonNullable<ForwarderOptions['reads']>): void {
    const reads = new LocalReads({
      ...options,
      link: this.#link,
      forward: (call, request) => this.#forwardUnary(index, call, request),
      ended: (call) => this.#countEnded(index, call),
    });
    this.reads = reads;
    this.#grpc.unary(method, (call, request) => {
      if (!reads.take(call, request, this.#connectionOf(call))) this.#forwardUnary(index, call, request);
    });
  }

  #forwardUnary(method: number, call: UnaryCall, request: Buffer): void {
    const connection = this.#connectionOf(call);
    const id = this.#nextCall();
    const number = this.#numbers.of(id);
    this.#unary.add(number, call);
    const out = this.#link.record(ToCore.UNARY, id);
    out.u32(connection.id);
    out.u32(method);
    out.bytes(request, request.length);
    this.#hold(connection, request.length);
    call.onEnded = () => this.#countEnded(method, call);
    call.onCancel = (reason) => {
      this.#unary.delete(number);
      this.#sendEnded(id, call, reason);
    };
  }

  #forwardStream(method: number, call: StreamCall): void {
    const connection = this.#connectionOf(call);
    const id = this.#nextCall();
    const stream: ForwardedStream = { call, untakenBytes: 0, waitingBytes: 0, isSending: false, later: [] };
    this.#streams.set(id, stream);
    const out = this.#link.record(ToCore.STREAM, id);
    out.u32(connection.id);
    out.u32(method);
    call.onMessage = (message) => {
      this.#link.record(ToCore.MESSAGE, id).framed(message);
      this.#hold(connection, message.length);
      stream.untakenBytes += message.length;
      if (stream.untakenBytes >= WINDOW_BYTES) call.pause();
    };
    call.onHalfClose = () => void this.#link.record(ToCore.HALF_CLOSE, id);
    call.onWritable = () => {
      const bytes = stream.waitingBytes;
      stream.waitingBytes = 0;
      this.#sendTaken(id, bytes);
    };
    call.onEnded = () => this.#countEnded(method, call);
    call.onCancel = (reason) => {
      stream.later.length = 0;
      this.#streams.delete(id);
      this.#sources.delete(id);
      this.#sendEnded(id, call, reason);
    };
  }

  /** Does something to a stream after the messages before it. */
  #inOrder(stream: ForwardedStream, action: () => void): void {
    if (stream.isSending) stream.later.push(action);
    else action();
  }

  /** The stream has taken all of a message with a source. */
  #onSourceSent(stream: ForwardedStream): void {
    // The stream itself is still reading that source.
    setImmediate(() => {
      stream.isSending = false;
      while (!stream.isSending) {
        const next = stream.later.shift();
        if (next === undefined) return;
        next();
      }
    });
  }

  #onMessage(id: number, message: Buffer): void {
    const stream = this.#streams.get(id);
    if (stream !== undefined) this.#inOrder(stream, () => this.#write(id, stream, message));
  }

  #write(id: number, stream: ForwardedStream, message: Buffer): void {
    stream.waitingBytes += message.length;
    if (!stream.call.write(message, message.length)) return;
    const bytes = stream.waitingBytes;
    stream.waitingBytes = 0;
    this.#sendTaken(id, bytes);
  }

  #onEnd(id: number, code: number, message: string): void {
    const stream = this.#streams.get(id);
    this.#streams.delete(id);
    if (stream !== undefined) this.#inOrder(stream, () => stream.call.end(code, message));
    // A response that is still being sent has its end already.
    else if (!this.#sources.has(id)) this.#takeUnary(id)?.fail(code, message);
  }

  #onTaken(id: number, bytes: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    stream.untakenBytes -= bytes;
    if (stream.untakenBytes < WINDOW_BYTES) stream.call.resume();
  }

  #onSource(id: number, totalBytes: number): void {
    const stream = this.#streams.get(id);
    const unary = stream === undefined ? this.#takeUnary(id) : undefined;
    const call = stream?.call ?? unary;
    if (call === undefined) return;
    let left = totalBytes;
    const source = new RemoteSource(
      (bytes) => {
        left -= bytes;
        if (left <= 0) {
          if (this.#sources.get(id)?.source === source) this.#sources.delete(id);
          if (stream !== undefined) this.#onSourceSent(stream);
        }
        this.#sendTaken(id, bytes);
      },
      () => {
        this.#sources.delete(id);
        this.#sendEnded(id, call, 'reset');
      },
    );
    if (totalBytes > 0) this.#sources.set(id, { source, call });
    if (unary !== undefined) unary.respondStream(totalBytes, source);
    if (stream === undefined) return;
    this.#inOrder(stream, () => {
      stream.isSending = totalBytes > 0;
      stream.call.writeSource(totalBytes, source);
    });
  }

  #onAbort(id: number): void {
    const call = this.#sources.get(id)?.call ?? this.#streams.get(id)?.call ?? this.#takeUnary(id);
    this.#streams.delete(id);
    this.#sources.delete(id);
    call?.abort();
  }

  /** Counts request bytes on their way to the core. */
  #hold({ account, socket }: ThreadConnection, bytes: number): void {
    this.#link.hold(account, bytes);
    // The caller does not expect its stream to be closed.
    if (account.isTooMuch) setImmediate(() => socket.destroy());
  }

  #takeUnary(id: number): UnaryCall | undefined {
    const number = this.#numbers.of(id);
    const call = this.#unary.get(number);
    this.#unary.delete(number);
    return call;
  }

  #sendTaken(id: number, bytes: number): void {
    if (bytes > 0) this.#link.record(ToCore.TAKEN, id).f64(bytes);
  }

  #sendEnded(id: number, { endCode }: UnaryCall | StreamCall, reason: CancelReason): void {
    const out = this.#link.record(ToCore.ENDED, id);
    out.u8(endCode ?? 0);
    out.u8(REASONS.indexOf(reason));
  }

  #countEnded(method: number, { endCode = 0 }: UnaryCall | StreamCall): void {
    const byCode = this.ended[method] as number[];
    byCode[endCode] = (byCode[endCode] ?? 0) + 1;
  }

  #connectionOf(call: UnaryCall | StreamCall): ThreadConnection {
    const { session } = call;
    assert(session instanceof SocketSession, 'the calls of a serving thread come from sockets');
    const connection = (session.data as ThreadConnection | undefined) ?? this.#open(session);
    const headers = connection.newHeaders(call.metadata.fields, call.authority);
    if (headers !== undefined) this.#link.record(ToCore.HEAD, connection.id).text(JSON.stringify(headers));
    return connection;
  }

  #open(session: SocketSession): ThreadConnection {
    const { socket } = session;
    const id = ++this.#lastConnection;
    const connection = new ThreadConnection(id, socket, this.#grpc.heldAccount());
    session.data = connection;
    this.#connections.set(id, connection);
    this.#link.record(ToCore.CONNECTION, id).text(JSON.stringify(describeClient(socket)));
    socket.once('close', () => {
      connection.account.close();
      this.#connections.delete(id);
      this.#link.record(ToCore.CONNECTION_CLOSED, id);
    });
    return connection;
  }

  #nextCall(): number {
    // After 2^32 calls a number returns. The calls of the first ones have long ended, except streams.
    do this.#lastCall = (this.#lastCall + 1) >>> 0;
    while (this.#streams.has(this.#lastCall) || this.#sources.has(this.#lastCall));
    this.#numbers.begin(this.#lastCall);
    return this.#lastCall;
  }
}
