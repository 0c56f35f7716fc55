import type { Socket } from 'node:net';
import { ClosedStreams } from './closed-streams.ts';
import {
  ConnectionError,
  DEFAULT_MAX_FRAME,
  DEFAULT_WINDOW,
  ErrorCode,
  FrameFlag,
  FrameType,
  LARGEST_MAX_FRAME,
  MAX_STREAM_ID,
  MAX_WINDOW,
  PREFACE,
  SettingId,
} from './constants.ts';
import { FloodGuard } from './flood-guard.ts';
import type { FlushScheduler, Flushable } from './flush-scheduler.ts';
import { FrameReader, type FrameSink } from './frame-reader.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { HeaderBlock } from './header-block.ts';
import type { HeaderPair } from './hpack-encoder.ts';
import type { HeaderField } from './header-field.ts';
import { KeepaliveGuard } from './keepalive.ts';
import { type ConnectionLimits, type KeepalivePolicy, STREAMS_CEILING, UNLIMITED_STREAMS } from './limits.ts';
import { readRequestHead, validTrailers } from './request-head.ts';
import { boundData, boundHeaders, type PayloadBounds } from './payload-bounds.ts';
import { Sender, type SenderHost } from './sender.ts';
import { Http2Stream } from './stream.ts';

/** Who answers the requests of a connection. */
export interface ConnectionOwner {
  /**
   * A request whose head is well formed. The owner sets `stream.listener` unless it answers at once. `fields` is
   * reused for the next request: what is kept must be copied out.
   */
  onRequest(stream: Http2Stream, fields: readonly HeaderField[], endStream: boolean): void;
  /** The socket is closed; the streams have been reset before. */
  onConnectionClosed(connection: Connection): void;
}

export interface ConnectionOptions {
  readonly limits: ConnectionLimits;
  readonly keepalive: KeepalivePolicy;
  readonly scheduler: FlushScheduler;
  /** Header blocks that most responses repeat. */
  readonly templates: readonly (readonly HeaderPair[])[];
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly counters: TrafficCounters;
}

/** Bytes over all connections of a server. */
export interface TrafficCounters {
  socketBytesRead: number;
  socketBytesWritten: number;
}

const HEADER_TABLE_BYTES = 4096;
const DRAIN_PING = Buffer.from('drainack', 'latin1');
const NO_DATA = Buffer.alloc(0);

/** The server's side of one HTTP/2 connection (RFC 9113) over a socket whose first bytes may be the preface. */
export class Connection implements FrameSink, Flushable {
  flushScheduled = false;
  readonly socket: Socket;
  /** Free for the owner: what it keeps with this connection. */
  attachment: unknown;

  readonly #owner: ConnectionOwner;
  readonly #limits: ConnectionLimits;
  readonly #scheduler: FlushScheduler;
  readonly #counters: TrafficCounters;
  readonly #reader: FrameReader;
  readonly #sender: Sender;
  readonly #decoder: HpackDecoder;
  readonly #streams = new Map<number, Http2Stream>();
  readonly #flood: FloodGuard;
  readonly #keepalive: KeepaliveGuard;
  readonly #closedStreams = new ClosedStreams();
  readonly #bounds: PayloadBounds = { from: 0, to: 0, selfDependent: false };
  readonly #block: HeaderBlock;

  #prefaceLeft = PREFACE.length;
  #settingsSeen = false;
  #closed = false;
  #lastStreamId = 0;
  /** Streams above this id arrived after the final GOAWAY and are ignored. */
  #finalStreamId = MAX_STREAM_ID;
  #draining = false;
  readonly #handshakeEnd: number;

  #peerInitialWindow = DEFAULT_WINDOW;
  #receiveWindow = DEFAULT_WINDOW;

  constructor(socket: Socket, owner: ConnectionOwner, options: ConnectionOptions) {
    const { limits, now } = options;
    this.socket = socket;
    this.#owner = owner;
    this.#limits = limits;
    this.#scheduler = options.scheduler;
    this.#counters = options.counters;
    this.#reader = new FrameReader(this);
    this.#decoder = new HpackDecoder({
      maxListBytes: limits.maxHeaderListBytes,
      tableBytes: HEADER_TABLE_BYTES,
    });
    this.#block = new HeaderBlock(limits.maxHeaderListBytes);
    this.#sender = new Sender(socket, this.#senderHost(), {
      maxSocketBacklogBytes: limits.maxSocketBacklogBytes,
      templates: options.templates,
    });
    this.#flood = new FloodGuard(limits, now);
    this.#keepalive = new KeepaliveGuard(options.keepalive, now);
    this.#handshakeEnd = now() + limits.handshakeTimeoutMs;
    socket.on('data', (chunk: Buffer) => this.#onChunk(chunk));
    socket.on('drain', () => this.#sender.drained());
    socket.on('end', () => this.#destroy());
    socket.on('error', () => this.#destroy());
    socket.on('close', () => {
      this.#destroy();
      owner.onConnectionClosed(this);
    });
    this.#sendServerPreface();
  }

  get closed(): boolean {
    return this.#closed;
  }

  get activeStreams(): number {
    return this.#streams.size;
  }

  /** Ends a stream at once in both directions. */
  resetStream(stream: Http2Stream, code: ErrorCode): void {
    if (this.#closed || stream.gone) return;
    stream.localClosed = true;
    stream.discardOutput();
    this.#sender.writer.rstStream(stream.id, code);
    this.#scheduler.schedule(this);
    this.#forget(stream, true);
  }

  /** Gives the client window for what the application consumed, in steps of half a window. */
  replenish(stream: Http2Stream): void {
    if (this.#closed || stream.remoteClosed) return;
    if (stream.unacknowledged * 2 < this.#limits.streamReceiveWindow) return;
    this.grant(stream, stream.unacknowledged);
    stream.unacknowledged = 0;
  }

  /** Lets the client send `bytes` more on a stream, beyond the usual window. */
  grant(stream: Http2Stream, bytes: number): void {
    if (this.#closed || stream.remoteClosed || stream.gone) return;
    stream.receiveWindow += bytes;
    this.#sender.writer.windowUpdate(stream.id, bytes);
    this.#scheduler.schedule(this);
  }

  /** Hands the gathered frames to the socket. Called by the scheduler. */
  flush(): void {
    if (this.#closed) return;
    this.#counters.socketBytesWritten += this.#sender.writer.pendingBytes;
    this.#sender.flush();
  }

  /**
   * Ends the connection without failing a request: GOAWAY with the highest id, so that nothing under way is lost,
   * then the last id once the client has seen the first; the connection closes with its last stream.
   */
  shutdown(): void {
    if (this.#closed || this.#draining) return;
    this.#draining = true;
    this.#sender.writer.goAway(MAX_STREAM_ID, ErrorCode.NO_ERROR, 'graceful_stop');
    this.#sender.writer.ping(false, DRAIN_PING, 0);
    this.#scheduler.schedule(this);
  }

  /** Drops the connection with everything under way. */
  destroy(): void {
    this.#destroy();
  }

  /** Timeouts of handshake, keepalive and closing; called about once a second. */
  sweep(now: number): void {
    if (this.#closed) return;
    if (!this.#settingsSeen && now >= this.#handshakeEnd) {
      this.#destroy();
      return;
    }
    const due = this.#keepalive.sweep(now);
    if (due === 'dead') this.#destroy();
    else if (due === 'ping') {
      this.#sender.writer.ping(false, KeepaliveGuard.PING, 0);
      this.#scheduler.schedule(this);
    }
  }

  onFrame(type: number, flags: number, streamId: number, source: Buffer, start: number, end: number): void {
    if (!this.#settingsSeen && (type !== FrameType.SETTINGS || (flags & FrameFlag.ACK) !== 0)) {
      throw protocolError('the first frame is not SETTINGS');
    }
    if (this.#block.streamId !== 0 && type !== FrameType.CONTINUATION) {
      throw protocolError('a header block is interrupted');
    }
    switch (type) {
      case FrameType.DATA:
        return this.#onData(flags, streamId, source, start, end);
      case FrameType.HEADERS:
        return this.#onHeaders(flags, streamId, source, start, end);
      case FrameType.PRIORITY:
        return this.#onPriority(streamId, source, start, end);
      case FrameType.RST_STREAM:
        return this.#onRstStream(streamId, source, start, end);
      case FrameType.SETTINGS:
        return this.#onSettings(flags, streamId, source, start, end);
      case FrameType.PUSH_PROMISE:
        throw protocolError('a client sent PUSH_PROMISE');
      case FrameType.PING:
        return this.#onPing(flags, streamId, source, start, end);
      case FrameType.GOAWAY:
        return this.#onGoAway(streamId, start, end);
      case FrameType.WINDOW_UPDATE:
        return this.#onWindowUpdate(streamId, source, start, end);
      case FrameType.CONTINUATION:
        return this.#onContinuation(flags, streamId, source, start, end);
      default:
        // Unknown frame types are ignored (RFC 9113 section 5.5).
        this.#flood.idleFrame();
    }
  }

  #sendServerPreface(): void {
    const limits = this.#limits;
    const settings: [number, number][] = [
      [SettingId.INITIAL_WINDOW_SIZE, limits.streamReceiveWindow],
      [SettingId.MAX_HEADER_LIST_SIZE, limits.maxHeaderListBytes],
    ];
    if (limits.maxConcurrentStreams < UNLIMITED_STREAMS) {
      settings.push([SettingId.MAX_CONCURRENT_STREAMS, limits.maxConcurrentStreams]);
    }
    this.#sender.writer.settings(settings);
    if (limits.connectionReceiveWindow > DEFAULT_WINDOW) {
      this.#sender.writer.windowUpdate(0, limits.connectionReceiveWindow - DEFAULT_WINDOW);
      this.#receiveWindow = limits.connectionReceiveWindow;
    }
    this.#scheduler.schedule(this);
  }

  #onChunk(chunk: Buffer): void {
    if (this.#closed) return;
    this.#counters.socketBytesRead += chunk.length;
    this.#keepalive.heard();
    try {
      this.#reader.push(this.#prefaceLeft === 0 ? chunk : this.#readPreface(chunk));
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      this.#fail(error);
    }
  }

  #readPreface(chunk: Buffer): Buffer {
    const from = PREFACE.length - this.#prefaceLeft;
    const length = Math.min(this.#prefaceLeft, chunk.length);
    if (PREFACE.compare(chunk, 0, length, from, from + length) !== 0) {
      throw protocolError('invalid connection preface');
    }
    this.#prefaceLeft -= length;
    return chunk.subarray(length);
  }

  #senderHost(): SenderHost {
    return {
      scheduleFlush: () => this.#scheduler.schedule(this),
      responseSent: () => {
        this.#keepalive.sentResponse();
        this.#flood.progress();
      },
      streamEnded: (stream) => this.#finishLocal(stream),
    };
  }

  /** This side sent END_STREAM. A client that has not ended its side is told that nobody listens any more. */
  #finishLocal(stream: Http2Stream): void {
    stream.localClosed = true;
    if (stream.remoteClosed) {
      this.#forget(stream, false);
      return;
    }
    this.#sender.writer.rstStream(stream.id, ErrorCode.NO_ERROR);
    this.#forget(stream, true);
  }

  /** `lateFrames`: the client may rightly have sent more on the stream before it learns of its end. */
  #forget(stream: Http2Stream, lateFrames: boolean): void {
    stream.gone = true;
    this.#streams.delete(stream.id);
    this.#closedStreams.add(stream.id, lateFrames);
    const drained = this.#draining && this.#streams.size === 0 && this.#finalStreamId !== MAX_STREAM_ID;
    if (drained) this.#closeDrained();
  }

  /** A fault on one stream (RFC 9113 section 5.4.2). */
  #failStream(streamId: number, code: ErrorCode): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      this.#sender.writer.rstStream(streamId, code);
      this.#closedStreams.add(streamId, true);
      this.#scheduler.schedule(this);
      this.#flood.idleFrame();
      return;
    }
    const { listener } = stream;
    this.resetStream(stream, code);
    listener?.onReset(code);
    this.#flood.idleFrame();
  }

  #onData(flags: number, streamId: number, source: Buffer, start: number, end: number): void {
    if (streamId === 0) throw protocolError('DATA on stream 0');
    const length = end - start;
    boundData(this.#bounds, flags, source, start, end);
    const { from, to } = this.#bounds;
    this.#receiveOnConnection(length);
    const stream = this.#streams.get(streamId);
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
    if (endStream) stream.remoteClosed = true;
    // Padding is consumed here; the listener accounts for the rest.
    else if (length > bytes) stream.consume(length - bytes);
    stream.listener?.onData(bytes === 0 ? NO_DATA : source.subarray(from, to), endStream);
  }

  #receiveOnConnection(length: number): void {
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0) {
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'DATA beyond the connection window');
    }
    // Each stream's own window bounds what it may buffer, so the connection's is given back on receipt.
    const most = this.#limits.connectionReceiveWindow;
    if (this.#receiveWindow * 2 < most) {
      this.#sender.writer.windowUpdate(0, most - this.#receiveWindow);
      this.#receiveWindow = most;
      this.#scheduler.schedule(this);
    }
  }

  /** DATA or HEADERS for a stream that is not open: late, or never opened. */
  #onFrameOfAbsentStream(streamId: number, what: string): void {
    if (streamId > this.#lastStreamId || streamId % 2 === 0) {
      if (streamId > this.#finalStreamId) return;
      throw protocolError(`${what} on an idle stream`);
    }
    if (this.#closedStreams.expectsLateFrames(streamId)) {
      this.#flood.idleFrame();
      return;
    }
    this.#failStream(streamId, ErrorCode.STREAM_CLOSED);
  }

  #onHeaders(flags: number, streamId: number, source: Buffer, start: number, end: number): void {
    if (streamId === 0) throw protocolError('HEADERS on stream 0');
    boundHeaders(this.#bounds, { flags, streamId }, source, start, end);
    const { from, to, selfDependent } = this.#bounds;
    if (selfDependent) {
      // The block is decoded all the same: the table must stay in step.
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

  #onContinuation(flags: number, streamId: number, source: Buffer, start: number, end: number): void {
    const block = this.#block;
    if (block.streamId === 0 || streamId !== block.streamId) {
      throw protocolError('CONTINUATION without its HEADERS');
    }
    block.add(source.subarray(start, end));
    if ((flags & FrameFlag.END_HEADERS) === 0) return;
    const whole = block.finish();
    this.#onBlock(streamId, block.flags, whole, 0, whole.length);
  }

  #onBlock(streamId: number, flags: number, source: Buffer, start: number, end: number): void {
    const decoder = this.#decoder;
    decoder.decode(source, start, end);
    const endStream = (flags & FrameFlag.END_STREAM) !== 0;
    const existing = this.#streams.get(streamId);
    if (existing !== undefined) {
      this.#onTrailers(existing, endStream);
      return;
    }
    if (streamId <= this.#lastStreamId && this.#closedStreams.expectsLateFrames(streamId)) {
      this.#flood.idleFrame();
      return;
    }
    if (streamId <= this.#lastStreamId && this.#closedStreams.endedByClient(streamId)) {
      throw new ConnectionError(ErrorCode.STREAM_CLOSED, 'HEADERS on a closed stream');
    }
    if (!this.#openId(streamId)) return;
    if (decoder.oversized) {
      this.#failStream(streamId, ErrorCode.FRAME_SIZE_ERROR);
      return;
    }
    if (this.#streams.size >= Math.min(this.#limits.maxConcurrentStreams, STREAMS_CEILING)) {
      this.#failStream(streamId, ErrorCode.REFUSED_STREAM);
      return;
    }
    const stream = new Http2Stream(this, this.#sender, streamId, {
      send: this.#peerInitialWindow,
      receive: this.#limits.streamReceiveWindow,
    });
    if (!readRequestHead(decoder.fields, stream) || (endStream && stream.contentLength > 0)) {
      this.#failStream(streamId, ErrorCode.PROTOCOL_ERROR);
      return;
    }
    stream.remoteClosed = endStream;
    this.#streams.set(streamId, stream);
    this.#flood.streamOpened();
    this.#owner.onRequest(stream, decoder.fields, endStream);
  }

  /** Takes a new stream id into account; false if it came after the final GOAWAY. */
  #openId(streamId: number): boolean {
    if (streamId % 2 === 0 || streamId <= this.#lastStreamId) {
      throw protocolError(`stream id ${streamId} after ${this.#lastStreamId}`);
    }
    if (streamId > this.#finalStreamId) return false;
    this.#lastStreamId = streamId;
    return true;
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
    stream.listener?.onData(NO_DATA, true);
  }

  #onPriority(streamId: number, source: Buffer, start: number, end: number): void {
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

  #onRstStream(streamId: number, source: Buffer, start: number, end: number): void {
    if (streamId === 0) throw protocolError('RST_STREAM on stream 0');
    if (end - start !== 4)
      throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'RST_STREAM of a wrong size');
    if (streamId > this.#lastStreamId) {
      if (streamId > this.#finalStreamId) return;
      throw protocolError('RST_STREAM on an idle stream');
    }
    const stream = this.#streams.get(streamId);
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

  #onSettings(flags: number, streamId: number, source: Buffer, start: number, end: number): void {
    if (streamId !== 0) throw protocolError('SETTINGS on a stream');
    const length = end - start;
    if ((flags & FrameFlag.ACK) !== 0) {
      if (length !== 0)
        throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'SETTINGS acknowledgement with a payload');
      this.#flood.idleFrame();
      return;
    }
    if (length % 6 !== 0) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'SETTINGS of a wrong size');
    this.#flood.idleFrame();
    this.#settingsSeen = true;
    for (let at = start; at < end; at += 6)
      this.#applySetting(source.readUInt16BE(at), source.readUInt32BE(at + 2));
    this.#sender.writer.settingsAck();
    this.#scheduler.schedule(this);
    // After the acknowledgement: what a larger window lets out is then seen to belong to the new settings.
    this.#sender.run();
  }

  #applySetting(id: number, value: number): void {
    switch (id) {
      case SettingId.HEADER_TABLE_SIZE:
        this.#sender.encoder.setPeerTableSize(value);
        return;
      case SettingId.ENABLE_PUSH:
        if (value > 1) throw protocolError('ENABLE_PUSH is neither 0 nor 1');
        return;
      case SettingId.INITIAL_WINDOW_SIZE:
        if (value > MAX_WINDOW)
          throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'initial window too large');
        this.#changeInitialWindow(value);
        return;
      case SettingId.MAX_FRAME_SIZE:
        if (value < DEFAULT_MAX_FRAME || value > LARGEST_MAX_FRAME)
          throw protocolError('MAX_FRAME_SIZE out of range');
        // Larger frames than the default gain little and would let one stream hold up the others.
        this.#sender.writer.maxFrameBytes = Math.min(value, 4 * DEFAULT_MAX_FRAME);
        return;
      default:
    }
  }

  #changeInitialWindow(value: number): void {
    const change = value - this.#peerInitialWindow;
    this.#peerInitialWindow = value;
    for (const stream of this.#streams.values()) {
      stream.sendWindow += change;
      if (stream.sendWindow > MAX_WINDOW) {
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'window of a stream too large');
      }
      this.#sender.unblock(stream);
    }
  }

  #onPing(flags: number, streamId: number, source: Buffer, start: number, end: number): void {
    if (streamId !== 0) throw protocolError('PING on a stream');
    if (end - start !== 8) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'PING of a wrong size');
    if ((flags & FrameFlag.ACK) !== 0) {
      if (this.#draining && DRAIN_PING.compare(source, start, end) === 0) this.#finishDraining();
      else this.#flood.idleFrame();
      return;
    }
    this.#sender.writer.ping(true, source, start);
    this.#scheduler.schedule(this);
    if (this.#keepalive.tooManyPings(this.#streams.size)) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'too_many_pings');
    }
  }

  #finishDraining(): void {
    if (this.#finalStreamId !== MAX_STREAM_ID) return;
    this.#finalStreamId = this.#lastStreamId;
    this.#sender.writer.goAway(this.#lastStreamId, ErrorCode.NO_ERROR, 'graceful_stop');
    this.#scheduler.schedule(this);
    if (this.#streams.size === 0) this.#closeDrained();
  }

  #onGoAway(streamId: number, start: number, end: number): void {
    if (streamId !== 0) throw protocolError('GOAWAY on a stream');
    if (end - start < 8) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'GOAWAY of a wrong size');
    this.#flood.idleFrame();
    // The client opens no more streams; those open are answered, and it closes the connection.
  }

  #onWindowUpdate(streamId: number, source: Buffer, start: number, end: number): void {
    if (end - start !== 4)
      throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'WINDOW_UPDATE of a wrong size');
    const increment = source.readUInt32BE(start) & MAX_WINDOW;
    this.#flood.idleFrame();
    if (streamId === 0) {
      if (increment === 0) throw protocolError('WINDOW_UPDATE of 0');
      this.#sender.grow(increment);
      return;
    }
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      if (streamId > this.#lastStreamId && streamId <= this.#finalStreamId) {
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

  /** Ends the connection for a fault of the client (RFC 9113 section 5.4.1). */
  #fail(error: ConnectionError): void {
    this.#reader.stop();
    this.#sender.writer.goAway(this.#lastStreamId, error.code, error.message);
    this.#close();
    this.#destroyLater();
  }

  /** All streams have ended after a shutdown: closes once the client has everything, however slowly it reads. */
  #closeDrained(): void {
    this.#close();
    this.socket.once('finish', () => this.#destroyLater());
  }

  /** Hands what is gathered to the socket and ends it. */
  #close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    this.#reader.stop();
    this.#resetAll();
    this.socket.end();
    // What still arrives is read and dropped, so that closing sends no TCP reset that could overtake the GOAWAY.
    this.socket.resume();
  }

  /** A client that does not close its side in time is dropped. */
  #destroyLater(): void {
    const { socket } = this;
    const timer = setTimeout(() => socket.destroy(), this.#limits.closeGraceMs);
    socket.once('close', () => clearTimeout(timer));
  }

  #destroy(): void {
    if (!this.#closed) {
      this.#closed = true;
      this.#reader.stop();
      this.#sender.writer.discard();
      this.#resetAll();
    }
    this.socket.destroy();
  }

  #resetAll(): void {
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    this.#sender.stop();
    for (const stream of streams) {
      stream.gone = true;
      stream.localClosed = true;
      stream.remoteClosed = true;
      stream.discardOutput();
      stream.listener?.onReset(ErrorCode.CANCEL);
    }
  }
}

function protocolError(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.PROTOCOL_ERROR, message);
}
