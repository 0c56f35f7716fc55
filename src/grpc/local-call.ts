import type { HeaderField } from '../http2/header-field.ts';
import type { ByteSource } from '../http2/stream.ts';
import { EMPTY } from '../wire/reader.ts';
import type { CallHead, CancelReason } from './call.ts';
import type { CallContext } from './call-context.ts';
import type { CallStream } from './call-stream.ts';
import { MESSAGE_PREFIX_BYTES } from './message-reader.ts';
import type { MethodStats } from './method-stats.ts';
import type { Route } from './router.ts';
import { PLAIN_CONTENT_TYPE } from './response-blocks.ts';
import type { Session } from './session.ts';
import { Status } from './status.ts';
import { StreamCall } from './stream-call.ts';
import { UnaryCall } from './unary-call.ts';

/** A call for a client that uses another protocol, or whose connection is in another thread. */
export interface LocalRequest {
  /** See `MethodDescriptor`. */
  readonly path: string;
  /** Headers without a meaning for the transport. They must not change afterwards. */
  readonly fields: readonly HeaderField[];
  /** The client's connection. */
  readonly session: Session;
  readonly authority: string;
  /** Milliseconds from now, or -1 for none. */
  readonly timeoutMs: number;
}

/** Receives the responses of a call. */
export interface LocalSink {
  /** Bytes received from the call that the client has not read yet. */
  readonly queuedBytes: number;
  /** A message as a whole or in parts, which must not change afterwards. */
  message(parts: Buffer | readonly Buffer[], totalBytes: number): void;
  /** A message that is produced as it is read. */
  source(from: ByteSource, totalBytes: number): void;
  /** A source that had no bytes has some again. */
  sourceReady(): void;
  /** The call has consumed requests, so the client may send more. */
  consumed(): void;
  /** A started response cannot be completed. */
  abort(): void;
  /** The end of the call. Only the rest of a source may follow. */
  end(code: number, message: string): void;
}

/** The caller's end of a call made inside the process. */
export interface LocalCall {
  /** Bytes of requests that the call has not taken. */
  readonly pendingBytes: number;
  send(message: Buffer): void;
  /** As `send`, for a message with its prefix of gRPC. Its memory may be kept. */
  sendFramed(framed: Buffer): void;
  halfClose(): void;
  /** As `send` and `halfClose`, for a message whose length was checked before. */
  sendRequest(message: Buffer): void;
  /** The client has disconnected. */
  cancel(): void;
  /** The call was ended with this code before its handler ended it. */
  endedAs(code: number, reason: CancelReason): void;
  /** The client has read the queued responses. */
  drained(): void;
}

/** Starts a call of a registered method. */
export function startLocalCall(
  route: Route,
  request: LocalRequest,
  sink: LocalSink,
  context: CallContext,
): LocalCall {
  const { stats } = route;
  if (route.unary !== undefined) {
    const call = new LocalUnaryCall(request, sink, context, stats);
    call.handler = route.unary;
    return call;
  }
  const stream = new LocalStream(sink, request.authority);
  const call = new LocalStreamCall(request, stream, context, stats);
  call.clientStreaming = route.clientStreaming;
  const end = new LocalStreamCaller(call, stream);
  route.stream?.(call);
  return end;
}

const NO_DEADLINE: CallHead = { contentType: PLAIN_CONTENT_TYPE, timeoutMs: -1, gzip: false };

function headOf({ timeoutMs }: LocalRequest): CallHead {
  return timeoutMs < 0 ? NO_DEADLINE : { ...NO_DEADLINE, timeoutMs };
}

function framed(message: Buffer): Buffer {
  const prefix = Buffer.allocUnsafe(MESSAGE_PREFIX_BYTES);
  prefix[0] = 0;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Both ends of a unary call in one object, because a server has very many of them. */
class LocalUnaryCall extends UnaryCall implements LocalCall {
  /** The call takes its message at once. */
  readonly pendingBytes = 0;
  readonly #sink: LocalSink;
  readonly #session: Session;
  /** The call gets its message together with the end of the request, so that it need not keep the message. */
  #held = EMPTY;

  constructor(request: LocalRequest, sink: LocalSink, context: CallContext, stats: MethodStats) {
    super(new LocalStream(sink, request.authority), context, stats, request.fields, headOf(request));
    this.#sink = sink;
    this.#session = request.session;
  }

  override get session(): Session {
    return this.#session;
  }

  send(message: Buffer): void {
    this.#held = framed(message);
  }

  sendFramed(message: Buffer): void {
    this.#held = message;
  }

  halfClose(): void {
    const message = this.#held;
    this.#held = EMPTY;
    this.onData(message, true);
  }

  sendRequest(message: Buffer): void {
    this.deliver(message);
  }

  cancel(): void {
    this.onReset();
  }

  drained(): void {
    this.onDrain();
  }

  protected override sendEnd(code: number, message: string): void {
    this.#sink.end(code, message);
  }
}

class LocalStreamCaller implements LocalCall {
  readonly #call: LocalStreamCall;
  readonly #stream: LocalStream;

  constructor(call: LocalStreamCall, stream: LocalStream) {
    this.#call = call;
    this.#stream = stream;
  }

  get pendingBytes(): number {
    return this.#stream.pendingBytes;
  }

  send(message: Buffer): void {
    this.sendFramed(framed(message));
  }

  sendFramed(message: Buffer): void {
    this.#stream.pendingBytes += message.length;
    this.#call.onData(message, false);
  }

  halfClose(): void {
    this.#call.onData(EMPTY, true);
  }

  sendRequest(message: Buffer): void {
    this.send(message);
    this.halfClose();
  }

  cancel(): void {
    this.#call.onReset();
  }

  endedAs(code: number, reason: CancelReason): void {
    this.#call.endedAs(code, reason);
  }

  drained(): void {
    if (this.#stream.takeWantsDrain()) this.#call.onDrain();
  }
}

class LocalStreamCall extends StreamCall {
  readonly #stream: LocalStream;
  readonly #session: Session;

  constructor(request: LocalRequest, stream: LocalStream, context: CallContext, stats: MethodStats) {
    super(stream, context, stats, request.fields, headOf(request));
    this.#stream = stream;
    this.#session = request.session;
  }

  override get session(): Session {
    return this.#session;
  }

  protected override sendEnd(code: number, message: string): void {
    this.#stream.sink.end(code, message);
  }
}

/** Passes messages on unchanged. Headers, trailers and windows have no meaning here. */
class LocalStream implements CallStream {
  readonly connection = undefined;
  readonly authority: string;
  readonly receiveWindow = Infinity;
  headersSent = false;
  /** Bytes of requests that the call has not taken. */
  pendingBytes = 0;
  readonly sink: LocalSink;
  #wantsDrain = false;

  constructor(sink: LocalSink, authority: string) {
    this.sink = sink;
    this.authority = authority;
  }

  get queuedBytes(): number {
    return this.sink.queuedBytes;
  }

  sendHeaders(): void {
    this.headersSent = true;
  }

  sendHeadersOnly(): void {
    // Calls made here end through their sink.
  }

  respond(_shape: unknown, parts: Buffer | readonly Buffer[], messageBytes: number): void {
    this.sendMessage(parts, messageBytes);
    this.end();
  }

  sendMessage(parts: Buffer | readonly Buffer[], messageBytes: number): void {
    this.sink.message(parts, messageBytes);
  }

  /** The prefix of a message from a source, which is not needed here. */
  write(): void {
    // Only the message itself is passed on.
  }

  writeSource(from: ByteSource, totalBytes: number): void {
    this.sink.source(from, totalBytes);
  }

  sourceReady(): void {
    this.sink.sourceReady();
  }

  wantDrain(): void {
    this.#wantsDrain = true;
  }

  takeWantsDrain(): boolean {
    const wanted = this.#wantsDrain;
    this.#wantsDrain = false;
    return wanted;
  }

  grant(): void {
    // The window has no end.
  }

  consume(_bytes: number, taken: number): void {
    this.pendingBytes -= taken;
    this.sink.consumed();
  }

  /** Aborts a started response. */
  reset(): void {
    this.sink.abort();
  }

  /** The end of a unary response. All other ends go through the sink. */
  end(): void {
    this.sink.end(Status.OK, '');
  }
}
