import type { Socket } from 'node:net';
import type { LocalCall, LocalSink } from '../../grpc/local-call.ts';
import type { GrpcServer } from '../../grpc/server.ts';
import { HeaderField } from '../../http2/header-field.ts';
import type { HeldAccount } from '../../http2/held-bytes.ts';
import type { ByteSource } from '../../http2/stream.ts';
import type { MethodDescriptor } from '../../wire/codec.ts';
import { GrpcCode } from '../../wire/errors.ts';
import { decodeJson, JsonError } from '../../wire/json.ts';
import { EMPTY } from '../../wire/reader.ts';
import { JsonTooLongError, JsonSplitter } from './json-splitter.ts';
import { decodeLargeJson, isLargeJson } from './large-json.ts';
import { MessageTexts } from './message-texts.ts';
import type { ResponseWriter } from './response-writer.ts';

/** What an exchange needs for its call. */
export interface GatewayCall {
  readonly server: GrpcServer;
  readonly method: MethodDescriptor;
  readonly metadata: readonly (readonly [string, string])[];
  /** Milliseconds from now, or -1 for no timeout. */
  readonly timeoutMs: number;
  /** The longest JSON text of one message, in bytes. */
  readonly maxTextBytes: number;
  readonly socket: Socket;
  readonly authority: string;
}

/** How requests arrive. */
export interface RequestInput {
  /** Whether a unary method is called as soon as its request is complete, not only at the end of the body. */
  readonly callsAtOnce: boolean;
  pause(): void;
  resume(): void;
}

/** No more is read of the body while requests of this many bytes wait for their method. */
const MAX_PENDING_BYTES = 256 * 1024;
/** How many bytes of a body are read at a time. A request can be as short as two bytes. */
const SLICE_BYTES = 16 * 1024;
const TOO_LONG = 'the request is larger than the server takes';
const PLAIN = { before: '', after: '' };
const LINES = { before: '{"result":', after: '}\n' };

/**
 * One request of the gateway and its gRPC call. The body holds JSON values one after another. A method without a
 * request stream takes the first value. The response is one JSON text, or one line for each message of a response
 * stream.
 */
export class Exchange implements LocalSink {
  readonly #call: GatewayCall;
  readonly #writer: ResponseWriter;
  readonly #input: RequestInput;
  readonly #values: JsonSplitter;
  readonly #texts: MessageTexts;
  /** The bytes held for this client: incomplete requests, and responses that it has not read. */
  readonly #held: HeldAccount;
  #local: LocalCall | undefined;
  /** The part of the body that has arrived but is not read yet. */
  readonly #arrived: Buffer[] = [];
  #arrivedBytes = 0;
  #hasArrivedWhole = false;
  #isReading = false;
  #isScheduled = false;
  /** The encoded request of a unary method, kept until the body ends. */
  #first: Buffer | undefined;
  /** A large text that a thread decodes, and the values after it. */
  #decoding: { readonly text: Buffer; readonly behind: Buffer[] } | undefined;
  #tookRest = false;
  #isHalfClosed = false;
  #isPaused = false;
  #isDone = false;

  constructor(call: GatewayCall, writer: ResponseWriter, input: RequestInput) {
    this.#call = call;
    this.#writer = writer;
    this.#input = input;
    this.#values = new JsonSplitter(call.maxTextBytes);
    this.#held = call.server.heldAccount();
    const framing = call.method.serverStreaming ? LINES : PLAIN;
    this.#texts = new MessageTexts(call.method.response.typeName, writer, framing, () => {
      this.#account();
      this.#local?.drained();
    });
  }

  get queuedBytes(): number {
    return this.#texts.queuedBytes;
  }

  start(): void {
    if (this.#call.method.clientStreaming) this.#open();
  }

  receive(chunk: Buffer): void {
    if (this.#hasEnough) return;
    this.#arrived.push(chunk);
    this.#arrivedBytes += chunk.length;
    if (this.#isFull || this.#isScheduled) this.#account();
    else this.#read();
  }

  receiveEnd(): void {
    this.#hasArrivedWhole = true;
    if (this.#arrived.length === 0) this.#finish();
  }

  /** The client has disconnected. */
  abandon(): void {
    this.#isDone = true;
    this.#isHalfClosed = true;
    this.#dropArrived();
    this.#held.close();
    this.#texts.drop();
    this.#local?.cancel();
  }

  /** The client has read the queued response bytes. */
  drained(): void {
    this.#texts.goOn();
    this.#local?.drained();
  }

  message(parts: Buffer | readonly Buffer[], totalBytes: number): void {
    if (this.#isDone) return;
    this.#texts.add(Buffer.isBuffer(parts) ? [parts] : parts, totalBytes);
    this.#account();
  }

  source(from: ByteSource, totalBytes: number): void {
    if (this.#isDone) from.dropped?.();
    else this.#texts.addSource(from, totalBytes);
  }

  sourceReady(): void {
    if (!this.#isDone) this.#texts.goOn();
  }

  consumed(): void {
    if (!this.#isReading) this.#goOn();
  }

  abort(): void {
    this.#texts.drop();
    if (!this.#isDone) this.#writer.destroy();
    this.#isDone = true;
  }

  end(code: number, message: string): void {
    this.#texts.whenEmpty(() => {
      if (this.#isDone) return;
      this.#isDone = true;
      if (code === GrpcCode.OK) this.#writer.end();
      else this.#writer.fail(code, message);
      // The rest of the body is read and dropped: the next request of the connection comes after it.
      this.#dropArrived();
      if (!this.#isReading) this.#goOn();
    });
  }

  /** The rest of the body is not needed. */
  get #hasEnough(): boolean {
    const hasRequest =
      this.#first !== undefined || (this.#decoding !== undefined && !this.#call.method.clientStreaming);
    return this.#isDone || this.#isHalfClosed || hasRequest;
  }

  get #isFull(): boolean {
    if (this.#isDone) return false;
    return this.#decoding !== undefined || (this.#local?.pendingBytes ?? 0) >= MAX_PENDING_BYTES;
  }

  /** Reads a slice of the arrived body. */
  #read(): void {
    const chunk = this.#arrived.shift();
    if (chunk !== undefined) {
      const slice = chunk.subarray(0, SLICE_BYTES);
      if (slice.length < chunk.length) this.#arrived.unshift(chunk.subarray(SLICE_BYTES));
      this.#arrivedBytes -= slice.length;
      this.#isReading = true;
      try {
        for (const value of this.#values.push(slice)) this.#take(value);
      } catch (error) {
        this.#refuse(error);
      }
      this.#isReading = false;
    }
    if (this.#hasEnough) this.#dropArrived();
    this.#account();
    this.#goOn();
  }

  /** Reads the rest in the next turn of the event loop, and accepts no more of the body before. */
  #goOn(): void {
    const isFull = this.#isFull;
    const isWaiting = this.#arrived.length > 0;
    if (isWaiting && !isFull && !this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(() => {
        this.#isScheduled = false;
        this.#read();
      });
    }
    if (this.#isPaused !== (isFull || isWaiting)) {
      this.#isPaused = !this.#isPaused;
      if (this.#isPaused) this.#input.pause();
      else this.#input.resume();
    }
    if (this.#hasArrivedWhole && !isWaiting) this.#finish();
  }

  #dropArrived(): void {
    this.#arrived.length = 0;
    this.#arrivedBytes = 0;
  }

  /** The body has been read to its end. */
  #finish(): void {
    if (this.#isHalfClosed || this.#decoding !== undefined) return;
    try {
      const rest = this.#first === undefined && !this.#tookRest ? this.#values.rest() : undefined;
      this.#tookRest = true;
      if (rest !== undefined) this.#take(rest);
      if (this.#isDecoding()) return;
      // For a unary method an empty body is an empty message.
      if (!this.#call.method.clientStreaming) this.#callOnce(this.#first ?? this.#encode(EMPTY));
      else this.#halfClose();
    } catch (error) {
      this.#refuse(error);
    }
  }

  #isDecoding(): boolean {
    return this.#decoding !== undefined;
  }

  /** A connection that holds too much memory is closed, as on HTTP/2 connections. */
  #account(): void {
    const requestBytes =
      this.#arrivedBytes +
      this.#values.pendingBytes +
      (this.#first?.length ?? this.#decoding?.text.length ?? 0);
    this.#held.set(requestBytes + this.#texts.queuedBytes);
    if (this.#held.isTooMuch) this.#writer.destroy();
  }

  #take(value: Buffer): void {
    if (this.#decoding !== undefined && this.#call.method.clientStreaming) this.#decoding.behind.push(value);
    else if (this.#hasEnough) return;
    else if (isLargeJson(value)) this.#decode(value);
    else this.#taken(this.#encode(value));
  }

  /** Has a large text decoded by a thread, and reads nothing more meanwhile. */
  #decode(text: Buffer): void {
    this.#decoding = { text, behind: [] };
    decodeLargeJson(this.#call.method.request, text, () => !this.#isDone)
      .then(
        (message) => this.#decoded(() => message !== undefined && !this.#hasEnough && this.#taken(message)),
        (error: unknown) => this.#decoded(() => this.#refuse(error)),
      )
      .catch((error: unknown) => {
        throw error;
      });
  }

  #decoded(use: () => void): void {
    const { behind = [] } = this.#decoding ?? {};
    this.#decoding = undefined;
    this.#isReading = true;
    try {
      use();
      for (const value of behind) this.#take(value);
    } catch (error) {
      this.#refuse(error);
    }
    this.#isReading = false;
    this.#account();
    this.#goOn();
  }

  /** An error is answered at once. A valid request waits for the end of the body, unless it is called at once. */
  #taken(message: Buffer): void {
    if (this.#call.method.clientStreaming) this.#local?.send(message);
    else if (this.#input.callsAtOnce) this.#callOnce(message);
    else this.#first = message;
  }

  #encode(value: Buffer): Buffer {
    const { request } = this.#call.method;
    return request.encode(decodeJson(request.typeName, value));
  }

  #callOnce(message: Buffer): void {
    if (!this.#open()) return;
    this.#local?.send(message);
    this.#halfClose();
  }

  #open(): boolean {
    const { server, method, metadata, timeoutMs, socket, authority } = this.#call;
    const fields = metadata.map(([name, value]) => new HeaderField(name, value));
    const session = server.httpSession(socket);
    this.#local = server.callLocally({ path: method.path, fields, session, authority, timeoutMs }, this);
    if (this.#local !== undefined) return true;
    this.#isHalfClosed = true;
    this.end(GrpcCode.Unimplemented, `unknown method ${method.name}`);
    return false;
  }

  #halfClose(): void {
    this.#isHalfClosed = true;
    this.#local?.halfClose();
  }

  /**
   * A request that cannot be decoded is answered with an error. In a request stream it only ends the requests, as in
   * etcd's gateway.
   */
  #refuse(error: unknown): void {
    const isTooLong = error instanceof JsonTooLongError;
    if (!isTooLong && !(error instanceof JsonError)) throw error;
    if (this.#call.method.clientStreaming && !isTooLong) {
      this.#halfClose();
      return;
    }
    this.#isHalfClosed = true;
    if (!this.#isDone) {
      this.#isDone = true;
      this.#texts.drop();
      if (isTooLong) this.#writer.refuse(GrpcCode.ResourceExhausted, TOO_LONG);
      else this.#writer.refuse(GrpcCode.InvalidArgument, error.message);
    }
    this.#local?.cancel();
  }
}
