import { RisingMap } from '../lib/rising-map.ts';
import { EMPTY } from '../wire/reader.ts';
import { ClosedStreams } from './closed-streams.ts';
import {
  ConnectionError,
  DEFAULT_WINDOW,
  ErrorCode,
  FrameFlag,
  MAX_STREAM_ID,
  MAX_WINDOW,
} from './constants.ts';
import type { FloodGuard } from './flood-guard.ts';
import { HeaderBlock } from './header-block.ts';
import type { HeaderField } from './header-field.ts';
import type { HeldAccount } from './held-bytes.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { type ConnectionLimits, STREAMS_CEILING } from './limits.ts';
import { boundData, boundHeaders, type PayloadBounds } from './payload-bounds.ts';
import { readRequestHead, validTrailers } from './request-head.ts';
import type { Sender } from './sender.ts';
import { Http2Stream, type StreamConnection, type StreamHost } from './stream.ts';
import type { SlicedWork, Turns } from './turns.ts';

const HEADER_TABLE_BYTES = 4096;
/** Streams reset in one slice. Each costs a few microseconds. */
const RESETS_A_SLICE = 128;
/** Handles the requests of a connection. */
export interface RequestHandler {
  /**
   * A request with valid headers. The handler sets `stream.listener` unless it responds at once. `fields` is reused for
   * the next request, so the handler must copy what it keeps.
   */
  onRequest(stream: Http2Stream, fields: readonly HeaderField[], endStream: boolean): void;
}

/** What the streams need of their connection. */
export interface StreamsHost {
  readonly connection: StreamConnection;
  readonly handler: RequestHandler;
  readonly limits: ConnectionLimits;
  readonly sender: Sender;
  readonly flood: FloodGuard;
  readonly held: HeldAccount;
  readonly turns: Turns;
  /** The connection must be closed soon, since it holds too much memory. */
  overfull(): void;
  /** Frames wait to be flushed. */
  scheduleFlush(): void;
  /** The last open stream has ended. */
  lastStreamEnded(): void;
}

/**
 * The streams of one connection, and the frames that belong to them: states (RFC 9113 section 5.1), requests and
 * receive windows. Frame handlers throw ConnectionError for an error that closes the connection.
 */
export class Streams implements StreamHost {
  /** The memory that the connection holds for its client. */
  readonly held: HeldAccount;
  readonly #host: StreamsHost;
  readonly #limits: ConnectionLimits;
  readonly #sender: Sender;
  readonly #flood: FloodGuard;
  readonly #open = new RisingMap<Http2Stream>();
  readonly #closed = new ClosedStreams();
  readonly #decoder: HpackDecoder;
  readonly #block: HeaderBlock;
  readonly #bounds: PayloadBounds = { from: 0, to: 0, selfDependent: false };
  /** The highest stream id that the client has used. */
  #lastId = 0;
  /** Streams above this id arrived after the final GOAWAY and are ignored. */
  #finalId = MAX_STREAM_ID;
  #peerInitialWindow = DEFAULT_WINDOW;
  #receiveWindow: number;

  constructor(host: StreamsHost) {
    const { limits } = host;
    this.#host = host;
    this.held = host.held;
    this.#limits = limits;
    this.#sender = host.sender;
    this.#flood = host.flood;
    this.#decoder = new HpackDecoder({
      maxListBytes: limits.maxHeaderListBytes,
      tableBytes: HEADER_TABLE_BYTES,
    });
    this.#block = new HeaderBlock(limits.maxHeaderListBytes);
    this.#receiveWindow = Math.max(DEFAULT_WINDOW, limits.connectionReceiveWindow);
  }

  /** Number of open streams. */
  get size(): number {
    return this.#open.size;
  }

  get lastId(): number {
    return this.#lastId;
  }

  /** Whether a header block is incomplete: only its CONTINUATION may follow. */
  get inHeaderBlock(): boolean {
    return this.#block.streamId !== 0;
  }

  /** From now on new stream ids are ignored. */
  acceptNoMore(): void {
    this.#finalId = this.#lastId;
  }

  /** Called by a stream that would queue more than the connection may hold in memory. */
  overfull(): void {
    this.#host.overfull();
  }

  /** Resets a stream. */
  reset(stream: Http2Stream, code: ErrorCode): void {
    if (stream.gone) return;
    stream.localClosed = true;
    stream.discardOutput();
    this.#sender.writer.rstStream(stream.id, code);
    this.#host.scheduleFlush();
    this.#forget(stream, true);
  }

  /** Sends window updates for the data that the application consumed, in steps of half a window. */
  replenish(stream: Http2Stream): void {
    if (stream.remoteClosed) return;
    if (stream.unacknowledged * 2 < this.#limits.streamReceiveWindow) return;
    this.grant(stream, stream.unacknowledged);
    stream.unacknowledged = 0;
  }

  /** Lets the client send `bytes` more on a stream than the usual window. */
  grant(stream: Http2Stream, bytes: number): void {
    if (stream.remoteClosed || stream.gone) return;
    stream.receiveWindow += bytes;
    this.#sender.writer.windowUpdate(stream.id, bytes);
    this.#host.scheduleFlush();
  }

  /** This side sent END_STREAM. If the client has not ended its side, the stream is reset with NO_ERROR. */
  ended(stream: Http2Stream): void {
    stream.localClosed = true;
    if (stream.remoteClosed) {
      this.#forget(stream, false);
      return;
    }
    this.#sender.writer.rstStream(stream.id, ErrorCode.NO_ERROR);
    this.#forget(stream, true);
  }

  /** The connection is closed, and so are all of its streams. */
  resetAll(): void {
    const streams = this.#open.values();
    this.#open.clear();
    for (const stream of streams) {
      stream.gone = true;
      stream.localClosed = true;
      stream.remoteClosed = true;
    }
    // Listeners are called after all streams are marked, since a listener may act on other streams of the connection.
    const resets = new StreamResets(streams);
    if (resets.slice()) this.#host.turns.addLater(resets);
  }

  onData(flags: number, streamId: number, source: Buffer, start: number, end: number): void {
    if (streamId === 0) throw protocolError('DATA on stream 0');
    const length = end - start;
    boundData(this.#bounds, flags, source, start, end);
    const { from, to } = this.#bounds;
    this.#receiveOnConnection(length);
    const stream = this.#open.get(streamId);
    if (stream === undefined) {
      this.#onFrameOfAbsentStream(streamId, 'DATA');
      return;
    }
    if (stream.remoteClosed) {
      this.#failStream(streamId, ErrorCode.STREAM_CLOSED);
      return;
    }
    if (length > stream.receiveWindow) {
      this.#failStream(streamId, ErrorCode.FLOW_CONTROL_ERROR);
      return;
    }
    stream.receiveWindow -= length;
    const bytes = to - from;
    const endStream = (flags & FrameFlag.END_STREAM) !== 0;
    if (bytes === 0 && !endStream) this.#flood.idleFrame();
    stream.receivedBytes += bytes;
    if (
      stream.contentLength >= 0 &&
      (endStream
        ? stream.receivedBytes !== stream.contentLength
        : stream.receivedBytes > stream.contentLength)
    ) {
      this.#failStream(streamId, ErrorCode.PROTOCOL_ERROR);
      return;
    }
    if (endStream) {
      stream.remoteClosed = true;
      stream.holdRequest(-stream.heldRequestBytes);
    } else {
      stream.holdRequest(bytes);
      if (this.held.isTooMuch) throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'too many bytes held');
      // Padding is consumed here. The listener consumes the rest.
      if (length > bytes) stream.giveBack(length - bytes);
    }
    stream.listener?.onData(bytes === 0 ? EMPTY : source.subarray(from, to), endStream);
  }

  onHeaders(flags: number, streamId: number, source: Buffer, start: number, end: number): void {
    if (streamId === 0) throw protocolError('HEADERS on stream 0');
    boundHeaders(this.#bounds, { flags, streamId }, source, start, end);
    const { from, to, selfDependent } = this.#bounds;
    if (selfDependent) {
      // The block is decoded even so: the table must stay correct.
      this.#decoder.decode(source, from, to);
      this.#openId(streamId);
      this.#failStream(streamId, ErrorCode.PROTOCOL_ERROR);
      return;
    }
    if ((flags & FrameFlag.END_HEADERS) !== 0) {
      this.#onBlock(streamId, flags, source, from, to);
      return;
    }
    this.#block.begin(streamId, flags, source.subarray(from, to));
  }

  onContinuation(flags: number, streamId: number, source: Buffer, start: number, end: number): void {
    const block = this.#block;
    if (block.streamId === 0 || streamId !== block.streamId) {
      throw protocolError('CONTINUATION without its HEADERS');
    }
    block.add(source.subarray(start, end));
    if ((flags & FrameFlag.END_HEADERS) === 0) return;
    const whole = block.finish();
    this.#onBlock(streamId, block.flags, whole, 0, whole.length);
  }

  onPriority(streamId: number, source: Buffer, start: number, end: number): void {
    if (streamId === 0) throw protocolError('PRIORITY on stream 0');
    this.#flood.idleFrame();
    if (end - start !== 5) {
      this.#failStream(streamId, ErrorCode.FRAME_SIZE_ERROR);
      return;
    }
    if ((source.readUInt32BE(start) & MAX_STREAM_ID) === streamId) {
      this.#failStream(streamId, ErrorCode.PROTOCOL_ERROR);
    }
  }

  onRstStream(streamId: number, source: Buffer, start: number, end: number): void {
    if (streamId === 0) throw protocolError('RST_STREAM on stream 0');
    if (end - start !== 4)
      throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'RST_STREAM of a wrong size');
    if (streamId > this.#lastId) {
      if (streamId > this.#finalId) return;
      throw protocolError('RST_STREAM on an idle stream');
    }
    const stream = this.#open.get(streamId);
    if (stream === undefined) {
      this.#flood.idleFrame();
      return;
    }
    this.#flood.streamReset();
    stream.localClosed = true;
    stream.remoteClosed = true;
    stream.discardOutput();
    this.#forget(stream, false);
    stream.listener?.onReset(source.readUInt32BE(start));
  }

  /** WINDOW_UPDATE of a stream. The sender handles that of the connection. */
  onWindowUpdate(streamId: number, increment: number): void {
    const stream = this.#open.get(streamId);
    if (stream === undefined) {
      if (streamId > this.#lastId && streamId <= this.#finalId) {
        throw protocolError('WINDOW_UPDATE on an idle stream');
      }
      return;
    }
    if (increment === 0) {
      this.#failStream(streamId, ErrorCode.PROTOCOL_ERROR);
      return;
    }
    stream.sendWindow += increment;
    if (stream.sendWindow > MAX_WINDOW) {
      this.#failStream(streamId, ErrorCode.FLOW_CONTROL_ERROR);
      return;
    }
    this.#sender.unblock(stream);
    this.#sender.run();
  }

  /** The client's SETTINGS_INITIAL_WINDOW_SIZE. It also applies to open streams. */
  setPeerInitialWindow(value: number): void {
    this.#flood.streamsVisited(this.#open.size);
    const change = value - this.#peerInitialWindow;
    this.#peerInitialWindow = value;
    for (const stream of this.#open.values()) {
      stream.sendWindow += change;
      if (stream.sendWindow > MAX_WINDOW) {
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'window of a stream too large');
      }
      this.#sender.unblock(stream);
    }
  }

  #onBlock(streamId: number, flags: number, source: Buffer, start: number, end: number): void {
    const decoder = this.#decoder;
    decoder.decode(source, start, end);
    const endStream = (flags & FrameFlag.END_STREAM) !== 0;
    const existing = this.#open.get(streamId);
    if (existing !== undefined) {
      this.#onTrailers(existing, endStream);
      return;
    }
    if (streamId <= this.#lastId && this.#closed.expectsLateFrames(streamId)) {
      this.#flood.idleFrame();
      return;
    }
    if (streamId <= this.#lastId && this.#closed.endedByClient(streamId)) {
      throw new ConnectionError(ErrorCode.STREAM_CLOSED, 'HEADERS on a closed stream');
    }
    if (!this.#openId(streamId)) return;
    if (decoder.oversized) {
      this.#failStream(streamId, ErrorCode.FRAME_SIZE_ERROR);
      return;
    }
    if (this.#open.size >= Math.min(this.#limits.maxConcurrentStreams, STREAMS_CEILING)) {
      this.#failStream(streamId, ErrorCode.REFUSED_STREAM);
      return;
    }
    const stream = new Http2Stream(this.#host.connection, this, this.#sender, streamId, {
      send: this.#peerInitialWindow,
      receive: this.#limits.streamReceiveWindow,
    });
    if (!readRequestHead(decoder.fields, stream) || (endStream && stream.contentLength > 0)) {
      this.#failStream(streamId, ErrorCode.PROTOCOL_ERROR);
      return;
    }
    stream.remoteClosed = endStream;
    this.#open.add(streamId, stream);
    this.#flood.streamOpened();
    this.#host.handler.onRequest(stream, decoder.fields, endStream);
  }

  #onTrailers(stream: Http2Stream, endStream: boolean): void {
    if (stream.remoteClosed) {
      this.#failStream(stream.id, ErrorCode.STREAM_CLOSED);
      return;
    }
    const lengthWrong = stream.contentLength >= 0 && stream.receivedBytes !== stream.contentLength;
    if (!endStream || this.#decoder.oversized || lengthWrong || !validTrailers(this.#decoder.fields)) {
      this.#failStream(stream.id, ErrorCode.PROTOCOL_ERROR);
      return;
    }
    stream.remoteClosed = true;
    stream.listener?.onData(EMPTY, true);
  }

  /** Records a new stream id. False if it came after the final GOAWAY. */
  #openId(streamId: number): boolean {
    if (streamId % 2 === 0 || streamId <= this.#lastId) {
      throw protocolError(`stream id ${streamId} after ${this.#lastId}`);
    }
    if (streamId > this.#finalId) return false;
    this.#lastId = streamId;
    return true;
  }

  #receiveOnConnection(length: number): void {
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0) {
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'DATA beyond the connection window');
    }
    // The window of each stream limits its buffer, so the connection window is refilled on receipt.
    const most = this.#limits.connectionReceiveWindow;
    if (this.#receiveWindow * 2 < most) {
      this.#sender.writer.windowUpdate(0, most - this.#receiveWindow);
      this.#receiveWindow = most;
      this.#host.scheduleFlush();
    }
  }

  /** DATA or HEADERS for a stream that is not open: closed already, or never opened. */
  #onFrameOfAbsentStream(streamId: number, what: string): void {
    if (streamId > this.#lastId || streamId % 2 === 0) {
      if (streamId > this.#finalId) return;
      throw protocolError(`${what} on an idle stream`);
    }
    if (this.#closed.expectsLateFrames(streamId)) {
      this.#flood.idleFrame();
      return;
    }
    this.#failStream(streamId, ErrorCode.STREAM_CLOSED);
  }

  /** A stream error (RFC 9113 section 5.4.2). */
  #failStream(streamId: number, code: ErrorCode): void {
    const stream = this.#open.get(streamId);
    if (stream === undefined) {
      this.#sender.writer.rstStream(streamId, code);
      this.#closed.add(streamId, true);
      this.#host.scheduleFlush();
      this.#flood.idleFrame();
      return;
    }
    const { listener } = stream;
    this.reset(stream, code);
    listener?.onReset(code);
    this.#flood.idleFrame();
    // Streams that the server must reset count like streams that the client resets.
    this.#flood.streamReset();
  }

  /** `lateFrames`: the client may have sent more frames on the stream before it knows that it ended. */
  #forget(stream: Http2Stream, lateFrames: boolean): void {
    stream.gone = true;
    stream.holdRequest(-stream.heldRequestBytes);
    this.#open.delete(stream.id);
    this.#closed.add(stream.id, lateFrames);
    if (this.#open.size === 0) this.#host.lastStreamEnded();
  }
}

/** Calls `onReset` for the streams of a closed connection in slices, since very many take longer than a turn may. */
class StreamResets implements SlicedWork {
  readonly #streams: Http2Stream[];

  constructor(streams: Http2Stream[]) {
    this.#streams = streams.reverse();
  }

  slice(): boolean {
    for (let i = 0; i < RESETS_A_SLICE; i++) {
      const stream = this.#streams.pop();
      if (stream === undefined) return false;
      stream.discardOutput();
      stream.listener?.onReset(ErrorCode.CANCEL);
    }
    return this.#streams.length > 0;
  }
}

function protocolError(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.PROTOCOL_ERROR, message);
}
