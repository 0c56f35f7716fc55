import type { Socket } from 'node:net';
import type { LocalCall, LocalSink } from '../../grpc/local-call.ts';
import type { GrpcServer } from '../../grpc/server.ts';
import type { HeldAccount } from '../../http2/held-bytes.ts';
import type { ByteSource } from '../../http2/stream.ts';
import type { MethodDescriptor } from '../../wire/codec.ts';
import { GrpcCode } from '../../wire/errors.ts';
import { decodeJson, JsonError } from '../../wire/json.ts';
import { JsonTooLongError, JsonValues } from './json-values.ts';
import { MessageTexts } from './message-texts.ts';
import type { Outlet } from './outlet.ts';

/** What an exchange needs to make its call. */
export interface GatewayCall {
  readonly server: GrpcServer;
  readonly method: MethodDescriptor;
  readonly metadata: readonly (readonly [string, string])[];
  /** Milliseconds from now, or -1 for none. */
  readonly timeoutMs: number;
  /** Longest JSON text of one message, in bytes. */
  readonly maxTextBytes: number;
  readonly socket: Socket;
  readonly authority: string;
}

/** How requests come in. */
export interface Inlet {
  /** Whether a method with one request is called as soon as that is there, not only at the end of the body. */
  readonly callsAtOnce: boolean;
  pause(): void;
  resume(): void;
}

/** Bytes of requests that wait for their method at which no more are read. */
const MAX_PENDING_BYTES = 256 * 1024;
/** Bytes of a body that are read at a time: a request can be as short as two of them. */
const SLICE_BYTES = 16 * 1024;
const TOO_LONG = 'the request is larger than the server takes';
const PLAIN = { before: '', after: '' };
const LINES = { before: '{"result":', after: '}\n' };

/**
 * One request of the gateway and the call made for it: requests are JSON values one after another, of which a
 * method without a stream of them takes the first; the responses are one text, or a line each.
 */
export class Exchange implements LocalSink {
  readonly #call: GatewayCall;
  readonly #outlet: Outlet;
  readonly #inlet: Inlet;
  readonly #values: JsonValues;
  readonly #texts: MessageTexts;
  /** What is held for this client: of requests that are not whole, and responses it has not taken. */
  readonly #held: HeldAccount;
  #local: LocalCall | undefined;
  /** What has come of the body and is not read yet. */
  readonly #arrived: Buffer[] = [];
  #arrivedBytes = 0;
  #hasArrivedWhole = false;
  #isReading = false;
  #isScheduled = false;
  /** The request of a method that takes one, until the end of the body. */
  #first: Buffer | undefined;
  #isHalfClosed = false;
  #isPaused = false;
  #isDone = false;

  constructor(call: GatewayCall, outlet: Outlet, inlet: Inlet) {
    this.#call = call;
    this.#outlet = outlet;
    this.#inlet = inlet;
    this.#values = new JsonValues(call.maxTextBytes);
    this.#held = call.server.heldAccount();
    const framing = call.method.serverStreaming ? LINES : PLAIN;
    this.#texts = new MessageTexts(call.method.response.typeName, outlet, framing, () => {
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

  /** The client is gone. */
  abandon(): void {
    this.#isDone = true;
    this.#isHalfClosed = true;
    this.#dropArrived();
    this.#held.close();
    this.#texts.drop();
    this.#local?.cancel();
  }

  /** The client has taken what was queued. */
  drained(): void {
    this.#texts.goOn();
    this.#local?.drained();
  }

  message(parts: readonly Buffer[], totalBytes: number): void {
    if (this.#isDone) return;
    this.#texts.add(parts, totalBytes);
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
    if (!this.#isDone) this.#outlet.destroy();
    this.#isDone = true;
  }

  end(code: number, message: string): void {
    this.#texts.whenEmpty(() => {
      if (this.#isDone) return;
      this.#isDone = true;
      if (code === GrpcCode.OK) this.#outlet.end();
      else this.#outlet.fail(code, message);
      // The rest of the body is read and dropped: the next request of the connection comes after it.
      this.#dropArrived();
      if (!this.#isReading) this.#goOn();
    });
  }

  /** Nothing more of the body is of interest. */
  get #hasEnough(): boolean {
    return this.#isDone || this.#isHalfClosed || this.#first !== undefined;
  }

  get #isFull(): boolean {
    return !this.#isDone && (this.#local?.pendingBytes ?? 0) >= MAX_PENDING_BYTES;
  }

  /** Reads some of what has arrived. */
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

  /** Has the rest read when the event loop has gone round, and nothing more taken before. */
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
      if (this.#isPaused) this.#inlet.pause();
      else this.#inlet.resume();
    }
    if (this.#hasArrivedWhole && !isWaiting) this.#finish();
  }

  #dropArrived(): void {
    this.#arrived.length = 0;
    this.#arrivedBytes = 0;
  }

  /** The body has been read to its end. */
  #finish(): void {
    if (this.#isHalfClosed) return;
    try {
      const rest = this.#first === undefined ? this.#values.rest() : undefined;
      if (rest !== undefined) this.#take(rest);
      // A method with one request takes an empty body for an empty message.
      if (!this.#call.method.clientStreaming) this.#callOnce(this.#first ?? NOTHING);
      else this.#halfClose();
    } catch (error) {
      this.#refuse(error);
    }
  }

  /** Whoever hoards is cut off, as on connections of HTTP/2. */
  #account(): void {
    const requestBytes = this.#arrivedBytes + this.#values.pendingBytes + (this.#first?.length ?? 0);
    this.#held.set(requestBytes + this.#texts.queuedBytes);
    if (this.#held.isTooMuch) this.#outlet.destroy();
  }

  #take(value: Buffer): void {
    if (this.#hasEnough) return;
    if (this.#call.method.clientStreaming) this.#local?.send(this.#encode(value));
    else if (this.#inlet.callsAtOnce) this.#callOnce(value);
    else {
      // What is wrong is said at once, what is right waits for the end of the body.
      this.#encode(value);
      this.#first = value;
    }
  }

  #encode(value: Buffer): Buffer {
    const { request } = this.#call.method;
    return request.encode(decodeJson(request.typeName, value));
  }

  #callOnce(value: Buffer): void {
    const message = this.#encode(value);
    if (!this.#open()) return;
    this.#local?.send(message);
    this.#halfClose();
  }

  #open(): boolean {
    const { server, method, metadata, timeoutMs, socket, authority } = this.#call;
    this.#local = server.callLocally({ path: method.path, metadata, socket, authority, timeoutMs }, this);
    if (this.#local !== undefined) return true;
    this.#isHalfClosed = true;
    this.end(GrpcCode.Unimplemented, `unknown method ${method.name}`);
    return false;
  }

  #halfClose(): void {
    this.#isHalfClosed = true;
    this.#local?.halfClose();
  }

  /** What cannot be read is answered, but of a stream of requests it only ends them, as etcd's gateway has it. */
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
      if (isTooLong) this.#outlet.refuse(GrpcCode.ResourceExhausted, TOO_LONG);
      else this.#outlet.refuse(GrpcCode.InvalidArgument, error.message);
    }
    this.#local?.cancel();
  }
}

const NOTHING = Buffer.alloc(0);
