import type { Socket } from 'node:net';
import { ErrorCode } from './constants.ts';
import type { HeldAccount } from './held-bytes.ts';
import type { RequestHead } from './request-head.ts';

/** Callbacks of a stream. None is called after `onReset`. */
export interface StreamListener {
  /** Payload of a DATA frame, possibly empty at the end; its memory may be kept. */
  onData(data: Buffer, endStream: boolean): void;
  /** The client reset the stream, or the connection is closed. */
  onReset(code: number): void;
  /** The queue of data to send fell to the low-water mark after `queuedBytes` had been above it. */
  onDrain(): void;
}

/** A response body of known length, produced as the client reads it. */
export interface ByteSource {
  /**
   * The next bytes: at least one, in all about `maxBytes` (more is allowed and is queued). `undefined` if there are
   * none at the moment. The next call is then after `Http2Stream.sourceReady`.
   */
  read(maxBytes: number): Buffer[] | undefined;
  /** The stream has ended before the source was read to its end. It will not be read any more. */
  dropped?(): void;
}

/** How a response ends after its data: a template of the connection's encoder, an encoded block, or only END_STREAM. */
export type StreamEnd = number | Buffer | 'data';

/** The templates of a whole response. */
export interface ResponseShape {
  readonly headers: number;
  readonly trailers: number;
}

/** The connection of a stream, as its owner sees it. */
export interface StreamConnection {
  readonly socket: Socket;
  /** Free for the owner: what it keeps with this connection. */
  attachment: unknown;
}

/** What a stream needs of its connection. */
export interface StreamHost {
  /** The memory that the connection holds for its client. */
  readonly held: HeldAccount;
  /** Called by a stream that is about to queue more than the connection may hold in memory. */
  overfull(): void;
  /** Ends a stream at once in both directions. */
  reset(stream: Http2Stream, code: ErrorCode): void;
  /** Sends window updates for the data that the application consumed. */
  replenish(stream: Http2Stream): void;
  /** Lets the client send `bytes` more on a stream than the usual window. */
  grant(stream: Http2Stream, bytes: number): void;
}

/** The sending half of a connection, as a stream sees it. */
export interface StreamSender {
  headers(stream: Http2Stream, headers: number | Buffer, endStream: boolean): void;
  messageResponse(
    stream: Http2Stream,
    shape: ResponseShape,
    parts: Buffer | readonly Buffer[],
    messageBytes: number,
  ): void;
  message(stream: Http2Stream, parts: Buffer | readonly Buffer[], messageBytes: number): void;
  /** The stream has queued data. */
  queued(stream: Http2Stream): void;
}

/** Below this many queued bytes, `onDrain` is called for a blocked writer. */
const LOW_WATER_BYTES = 16 * 1024;

/** One request and its response. */
export class Http2Stream implements RequestHead {
  readonly id: number;
  readonly connection: StreamConnection;
  readonly #host: StreamHost;
  readonly #sender: StreamSender;
  listener: StreamListener | undefined;

  method = '';
  scheme = '';
  authority = '';
  path = '';
  contentLength = -1;

  /** The client ended its side (END_STREAM), or this side reset the stream. */
  remoteClosed = false;
  /** This side sent END_STREAM or RST_STREAM. */
  localClosed = false;
  headersSent = false;
  /** The stream is removed from its connection. */
  gone = false;

  sendWindow: number;
  receiveWindow: number;
  receivedBytes = 0;
  /** Bytes consumed by the application for which no window update was sent yet. */
  unacknowledged = 0;

  /** Bytes of an incomplete request that are received and not consumed. */
  heldRequestBytes = 0;

  /** Whether the stream is in the connection's queue of streams with data to send. */
  inSendRound = false;
  /** Bytes passed to `write` that are not framed yet. */
  queuedBytes = 0;
  #queue: Buffer[] = [];
  #queueHead = 0;
  #headOffset = 0;
  #source: ByteSource | undefined;
  #sourceRemaining = 0;
  #sourceDry = false;
  #end: StreamEnd | undefined;
  #wantsDrain = false;

  constructor(
    connection: StreamConnection,
    host: StreamHost,
    sender: StreamSender,
    id: number,
    windows: { readonly send: number; readonly receive: number },
  ) {
    this.connection = connection;
    this.#host = host;
    this.#sender = sender;
    this.id = id;
    this.sendWindow = windows.send;
    this.receiveWindow = windows.receive;
  }

  /** Whether data or the end waits to be sent. */
  get hasOutput(): boolean {
    return this.queuedBytes > 0 || this.#sourceRemaining > 0 || this.#end !== undefined;
  }

  /** Whether there is data that waits only for windows or the socket. */
  get hasSendableData(): boolean {
    return this.queuedBytes > 0 || (this.#sourceRemaining > 0 && !this.#sourceDry);
  }

  /** Sends response headers: a template of the connection's encoder, or an encoded block. */
  sendHeaders(headers: number | Buffer): void {
    this.#sender.headers(this, headers, false);
  }

  /** Sends a response that has only headers. */
  sendHeadersOnly(headers: Buffer): void {
    this.#sender.headers(this, headers, true);
  }

  /** Sends headers, one gRPC message and trailers, which end the response. */
  respond(shape: ResponseShape, parts: Buffer | readonly Buffer[], messageBytes: number): void {
    this.#sender.messageResponse(this, shape, parts, messageBytes);
  }

  /** Sends one gRPC message after the headers. */
  sendMessage(parts: Buffer | readonly Buffer[], messageBytes: number): void {
    this.#sender.message(this, parts, messageBytes);
  }

  /** Queues payload bytes, which must not change until they are sent. */
  write(parts: Buffer | readonly Buffer[]): void {
    if (this.localClosed) return;
    if (Buffer.isBuffer(parts)) this.#push(parts);
    else for (const part of parts) this.#push(part);
    this.#sender.queued(this);
  }

  /** Requests a call of `onDrain` when the queue is short. */
  wantDrain(): void {
    this.#wantsDrain = true;
  }

  /** Queues `totalBytes` to be read from `source`, after the data that is queued already. */
  writeSource(source: ByteSource, totalBytes: number): void {
    if (this.localClosed) {
      source.dropped?.();
      return;
    }
    this.#source = source;
    this.#sourceRemaining = totalBytes;
    this.#sender.queued(this);
  }

  /** A source that had no bytes has some now. */
  sourceReady(): void {
    if (!this.#sourceDry || this.localClosed) return;
    this.#sourceDry = false;
    this.#sender.queued(this);
  }

  /** Ends the response after the queued data. */
  end(end: StreamEnd): void {
    if (this.localClosed || this.#end !== undefined) return;
    this.#end = end;
    this.#sender.queued(this);
  }

  /** Resets the stream. Queued data is dropped. */
  reset(code: ErrorCode): void {
    if (this.gone) return;
    this.#host.reset(this, code);
  }

  /** Lets the client send `bytes` more than the usual window. */
  grant(bytes: number): void {
    this.#host.grant(this, bytes);
  }

  /**
   * The application consumed `taken` bytes of received payload. The client may send `bytes` more. That is less than
   * `taken` if it was granted more than the usual window.
   */
  consume(bytes: number, taken = bytes): void {
    this.holdRequest(-Math.min(taken, this.heldRequestBytes));
    this.giveBack(bytes);
  }

  /** The request holds `bytes` more of the connection's memory, or less if negative. */
  holdRequest(bytes: number): void {
    if (bytes === 0) return;
    this.heldRequestBytes += bytes;
    this.#host.held.add(bytes);
  }

  /** Lets the client send `bytes` again. */
  giveBack(bytes: number): void {
    if (this.remoteClosed || this.gone) return;
    this.unacknowledged += bytes;
    this.#host.replenish(this);
  }

  /** Takes the end of the response, if no data is left before it. */
  takeEnd(): StreamEnd | undefined {
    if (this.queuedBytes > 0 || this.#sourceRemaining > 0) return undefined;
    const end = this.#end;
    this.#end = undefined;
    return end;
  }

  /**
   * Moves up to `maxBytes` of queued payload to `out`, and reads from the source if the queue is empty. Returns the
   * number of bytes added.
   */
  takeData(maxBytes: number, out: Buffer[]): number {
    if (this.queuedBytes === 0) this.#pull(maxBytes);
    let taken = 0;
    while (taken < maxBytes && this.#queueHead < this.#queue.length) {
      const head = this.#queue[this.#queueHead] as Buffer;
      const available = head.length - this.#headOffset;
      if (available <= maxBytes - taken) {
        out.push(this.#headOffset === 0 ? head : head.subarray(this.#headOffset));
        taken += available;
        this.#queueHead++;
        this.#headOffset = 0;
        continue;
      }
      const part = maxBytes - taken;
      out.push(head.subarray(this.#headOffset, this.#headOffset + part));
      this.#headOffset += part;
      taken += part;
    }
    if (this.#queueHead === this.#queue.length) {
      this.#queue.length = 0;
      this.#queueHead = 0;
    } else if (this.#queueHead >= 1024) {
      this.#queue.splice(0, this.#queueHead);
      this.#queueHead = 0;
    }
    this.queuedBytes -= taken;
    this.#host.held.remove(taken);
    return taken;
  }

  /** Whether `onDrain` must be called now. Called after data was taken. */
  takeDrain(): boolean {
    if (!this.#wantsDrain || this.queuedBytes > LOW_WATER_BYTES) return false;
    this.#wantsDrain = false;
    return true;
  }

  /** Drops all queued data, since the stream has ended. */
  discardOutput(): void {
    this.#queue = [];
    this.#queueHead = 0;
    this.#headOffset = 0;
    this.#host.held.remove(this.queuedBytes);
    this.queuedBytes = 0;
    const source = this.#source;
    this.#source = undefined;
    this.#sourceRemaining = 0;
    this.#end = undefined;
    source?.dropped?.();
  }

  #push(part: Buffer): void {
    if (part.length === 0) return;
    const { held } = this.#host;
    if (held.isTooMuch) {
      this.#host.overfull();
      return;
    }
    this.#queue.push(part);
    this.queuedBytes += part.length;
    held.add(part.length);
  }

  #pull(maxBytes: number): void {
    if (this.#source === undefined || this.#sourceRemaining === 0) return;
    const parts = this.#source.read(Math.min(maxBytes, this.#sourceRemaining));
    if (parts === undefined) {
      this.#sourceDry = true;
      return;
    }
    let bytes = 0;
    for (const part of parts) {
      bytes += part.length;
      this.#push(part);
    }
    if (bytes === 0 || bytes > this.#sourceRemaining) {
      // The source gave more than the announced length. Half a message must never look like a whole one.
      this.reset(ErrorCode.INTERNAL_ERROR);
      return;
    }
    this.#sourceRemaining -= bytes;
    if (this.#sourceRemaining === 0) this.#source = undefined;
  }
}
