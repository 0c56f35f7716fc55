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
  /** Headers without a meaning for the transport. */
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
  /** A message in parts, which must not change afterwards. */
  message(parts: readonly Buffer[], totalBytes: number): void;
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
  const { fields, session } = request;
  const stream = new LocalStream(sink, request.authority);
  const head = { contentType: PLAIN_CONTENT_TYPE, timeoutMs: request.timeoutMs, gzip: false };
  if (route.unary !== undefined) {
    const call = new LocalUnaryCall({ stream, sink, session }, context, route.stats, fields, head);
    call.handler = route.unary;
    return new LocalCaller(call, stream);
  }
  const call = new LocalStreamCall({ stream, sink, session }, context, route.stats, fields, head);
  call.clientStreaming = route.clientStreaming;
  const end = new LocalCaller(call, stream);
  route.stream?.(call);
  return end;
}

class LocalCaller implements LocalCall {
  readonly #call: LocalUnaryCall | LocalStreamCall;
  readonly #stream: LocalStream;
  /** A unary call gets its message together with the end of the request, so that it need not keep the message. */
  #held: Buffer | undefined;

  constructor(call: LocalUnaryCall | LocalStreamCall, stream: LocalStream) {
    this.#call = call;
    this.#stream = stream;
  }

  get pendingBytes(): number {
    return this.#stream.pendingBytes;
  }

  send(message: Buffer): void {
    const prefix = Buffer.allocUnsafe(MESSAGE_PREFIX_BYTES);
    prefix[0] = 0;
    prefix.writeUInt32BE(message.length, 1);
    this.sendFramed(Buffer.concat([prefix, message]));
  }

  sendFramed(framed: Buffer): void {
    if (this.#call instanceof UnaryCall) this.#held = framed;
    else {
      this.#stream.pendingBytes += framed.length;
      this.#call.onData(framed, false);
    }
  }

  halfClose(): void {
    this.#call.onData(this.#held ?? EMPTY, true);
    this.#held = undefined;
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

interface LocalParts {
  readonly stream: LocalStream;
  readonly sink: LocalSink;
  readonly session: Session;
}

type RestOfCall = [context: CallContext, stats: MethodStats, fields: readonly HeaderField[], head: CallHead];

class LocalUnaryCall extends UnaryCall {
  readonly #parts: LocalParts;

  constructor(parts: LocalParts, ...rest: RestOfCall) {
    super(parts.stream, ...rest);
    this.#parts = parts;
  }

  override get session(): Session {
    return this.#parts.session;
  }

  protected override sendEnd(code: number, message: string): void {
    this.#parts.sink.end(code, message);
  }
}

class LocalStreamCall extends StreamCall {
  readonly #parts: LocalParts;

  constructor(parts: LocalParts, ...rest: RestOfCall) {
    super(parts.stream, ...rest);
    this.#parts = parts;
  }

  override get session(): Session {
    return this.#parts.session;
  }

  protected override sendEnd(code: number, message: string): void {
    this.#parts.sink.end(code, message);
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
  readonly #sink: LocalSink;
  #wantsDrain = false;

  constructor(sink: LocalSink, authority: string) {
    this.#sink = sink;
    this.authority = authority;
  }

  get queuedBytes(): number {
    return this.#sink.queuedBytes;
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
    this.#sink.message(Buffer.isBuffer(parts) ? [parts] : parts, messageBytes);
  }

  /** The prefix of a message from a source, which is not needed here. */
  write(): void {
    // Only the message itself is passed on.
  }

  writeSource(from: ByteSource, totalBytes: number): void {
    this.#sink.source(from, totalBytes);
  }

  sourceReady(): void {
    this.#sink.sourceReady();
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
    this.#sink.consumed();
  }

  /** Aborts a started response. */
  reset(): void {
    this.#sink.abort();
  }

  /** The end of a unary response. All other ends go through the sink. */
  end(): void {
    this.#sink.end(Status.OK, '');
  }
}
