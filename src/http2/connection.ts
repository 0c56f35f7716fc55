import type { Socket } from 'node:net';
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
import type { Endings } from './endings.ts';
import { FloodGuard } from './flood-guard.ts';
import type { FlushScheduler, Flushable } from './flush-scheduler.ts';
import type { FrameSink } from './frame-reader.ts';
import type { HeaderPair } from './hpack-encoder.ts';
import type { HeldAccount, HeldBytes } from './held-bytes.ts';
import { KeepaliveGuard } from './keepalive.ts';
import { type ConnectionLimits, type KeepalivePolicy, UNLIMITED_STREAMS } from './limits.ts';
import { Sender, type SenderHost } from './sender.ts';
import { SocketInput } from './socket-input.ts';
import type { StreamConnection } from './stream.ts';
import { type RequestHandler, Streams } from './streams.ts';
import type { Turns } from './turns.ts';

/** Handles the requests of a connection and is notified when it closes. */
export interface ConnectionOwner extends RequestHandler {
  /** The socket is closed. All streams were reset before. */
  onConnectionClosed(connection: Connection): void;
}

export interface ConnectionOptions {
  readonly limits: ConnectionLimits;
  readonly keepalive: KeepalivePolicy;
  readonly scheduler: FlushScheduler;
  readonly turns: Turns;
  readonly endings: Endings;
  /** Header blocks that most responses repeat. */
  readonly templates: readonly (readonly HeaderPair[])[];
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly counters: TrafficCounters;
  /** Memory used for the clients of all connections of the server. */
  readonly held: HeldBytes;
}

/** Bytes over all connections of a server. */
export interface TrafficCounters {
  socketBytesRead: number;
  socketBytesWritten: number;
}

const DRAIN_PING = Buffer.from('drainack', 'latin1');

/** The server's side of one HTTP/2 connection (RFC 9113) over a socket whose first bytes may be the preface. */
export class Connection implements FrameSink, Flushable, StreamConnection {
  flushScheduled = false;
  flushPostponed = false;
  readonly socket: Socket;
  /** Data that the owner keeps with this connection. */
  attachment: unknown;

  readonly #limits: ConnectionLimits;
  readonly #scheduler: FlushScheduler;
  readonly #counters: TrafficCounters;
  readonly #input: SocketInput;
  readonly #sender: Sender;
  readonly #streams: Streams;
  readonly #flood: FloodGuard;
  readonly #keepalive: KeepaliveGuard;
  readonly #held: HeldAccount;
  #prefaceLeft = PREFACE.length;
  #settingsSeen = false;
  /** It uses too much memory and is about to be closed. */
  #overfull = false;
  #closed = false;
  /** Bytes received after this side ended the connection. */
  #droppedBytes = 0;
  /** State of a graceful shutdown. It is final after the client answered the first GOAWAY. */
  #draining: 'no' | 'begun' | 'final' = 'no';
  readonly #handshakeEnd: number;

  constructor(socket: Socket, owner: ConnectionOwner, options: ConnectionOptions) {
    const { limits, now } = options;
    this.socket = socket;
    this.#limits = limits;
    this.#scheduler = options.scheduler;
    this.#counters = options.counters;
    this.#input = new SocketInput(socket, this, options.turns, (error) => this.#fail(error));
    this.#sender = new Sender(socket, this.#senderHost(), {
      maxSocketBacklogBytes: limits.maxSocketBacklogBytes,
      templates: options.templates,
    });
    this.#flood = new FloodGuard(limits, now);
    this.#held = options.held.account();
    this.#streams = new Streams({
      connection: this,
      handler: owner,
      limits,
      sender: this.#sender,
      flood: this.#flood,
      held: this.#held,
      turns: options.turns,
      overfull: () => this.#endOverfull(),
      scheduleFlush: () => this.#scheduler.schedule(this),
      lastStreamEnded: () => {
        if (this.#draining === 'final') this.#closeDrained();
      },
    });
    this.#keepalive = new KeepaliveGuard(options.keepalive, now);
    this.#handshakeEnd = now() + limits.handshakeTimeoutMs;
    socket.on('data', (chunk: Buffer) => this.#onChunk(chunk));
    socket.on('drain', () => this.#sender.drained());
    socket.on('end', () => options.endings.add(() => this.#destroy()));
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

  /** Writes the gathered frames to the socket. Called by the scheduler. */
  flush(): void {
    if (this.#closed) return;
    this.#counters.socketBytesWritten += this.#sender.writer.pendingBytes;
    this.#sender.flush();
  }

  /**
   * Shuts the connection down without failing a request. It sends GOAWAY with the highest id, so that no request is
   * lost, and GOAWAY with the last id when the client has seen the first. The connection closes with its last stream.
   */
  shutdown(): void {
    if (this.#closed || this.#draining !== 'no') return;
    this.#draining = 'begun';
    this.#sender.writer.goAway(MAX_STREAM_ID, ErrorCode.NO_ERROR, 'graceful_stop');
    this.#sender.writer.ping(false, DRAIN_PING, 0);
    this.#scheduler.schedule(this);
  }

  /** Closes the connection at once, with all running requests. */
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
    if (this.#streams.inHeaderBlock && type !== FrameType.CONTINUATION) {
      throw protocolError('a header block is interrupted');
    }
    switch (type) {
      case FrameType.DATA:
        return this.#streams.onData(flags, streamId, source, start, end);
      case FrameType.HEADERS:
        return this.#streams.onHeaders(flags, streamId, source, start, end);
      case FrameType.PRIORITY:
        return this.#streams.onPriority(streamId, source, start, end);
      case FrameType.RST_STREAM:
        return this.#streams.onRstStream(streamId, source, start, end);
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
        return this.#streams.onContinuation(flags, streamId, source, start, end);
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
    }
    this.#scheduler.schedule(this);
  }

  #onChunk(chunk: Buffer): void {
    if (this.#closed) {
      this.#droppedBytes += chunk.length;
      // After GOAWAY a client may have sent one more window of data, but not more.
      if (this.#droppedBytes > this.#limits.connectionReceiveWindow) this.socket.destroy();
      return;
    }
    this.#counters.socketBytesRead += chunk.length;
    this.#keepalive.heard();
    try {
      this.#input.push(this.#prefaceLeft === 0 ? chunk : this.#readPreface(chunk));
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
      pauseReading: () => this.#input.hold(),
      resumeReading: () => this.#input.release(),
      responseSent: () => {
        this.#keepalive.sentResponse();
        this.#flood.progress();
      },
      streamEnded: (stream) => this.#streams.ended(stream),
    };
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
    let initialWindow: number | undefined;
    for (let at = start; at < end; at += 6) {
      const [id, value] = [source.readUInt16BE(at), source.readUInt32BE(at + 2)];
      this.#applySetting(id, value);
      if (id === SettingId.INITIAL_WINDOW_SIZE) initialWindow = value;
    }
    // Once for each frame, even if the frame repeats the setting.
    if (initialWindow !== undefined) this.#streams.setPeerInitialWindow(initialWindow);
    this.#sender.writer.settingsAck();
    this.#scheduler.schedule(this);
    // After the acknowledgement, so that data allowed by a larger window follows the new settings.
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
        return;
      case SettingId.MAX_FRAME_SIZE:
        if (value < DEFAULT_MAX_FRAME || value > LARGEST_MAX_FRAME)
          throw protocolError('MAX_FRAME_SIZE out of range');
        // Much larger frames gain little, and would let one stream delay the others.
        this.#sender.writer.maxFrameBytes = Math.min(value, 4 * DEFAULT_MAX_FRAME);
        return;
      default:
    }
  }

  #onPing(flags: number, streamId: number, source: Buffer, start: number, end: number): void {
    if (streamId !== 0) throw protocolError('PING on a stream');
    if (end - start !== 8) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'PING of a wrong size');
    if ((flags & FrameFlag.ACK) !== 0) {
      if (this.#draining === 'begun' && DRAIN_PING.compare(source, start, end) === 0) this.#finishDraining();
      else this.#flood.idleFrame();
      return;
    }
    this.#sender.writer.ping(true, source, start);
    // A busy client of Go pings with every batch of its requests. The answer goes with the next response, since a write
    // of its own would double the number of writes.
    this.#scheduler.postpone(this);
    if (this.#keepalive.tooManyPings(this.#streams.size)) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'too_many_pings');
    }
  }

  #finishDraining(): void {
    this.#draining = 'final';
    this.#streams.acceptNoMore();
    this.#sender.writer.goAway(this.#streams.lastId, ErrorCode.NO_ERROR, 'graceful_stop');
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
    if (end - start !== 4) {
      throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'WINDOW_UPDATE of a wrong size');
    }
    const increment = source.readUInt32BE(start) & MAX_WINDOW;
    this.#flood.idleFrame();
    if (streamId !== 0) {
      this.#streams.onWindowUpdate(streamId, increment);
      return;
    }
    if (increment === 0) throw protocolError('WINDOW_UPDATE of 0');
    this.#sender.grow(increment);
  }

  /**
   * The connection uses more memory than allowed. The caller may be in the middle of queuing a response, and does not
   * expect its stream to be closed. So sending and reading stop now, and the connection is closed later.
   */
  #endOverfull(): void {
    if (this.#closed || this.#overfull) return;
    this.#overfull = true;
    this.#input.stop();
    this.#sender.stop();
    setImmediate(() => {
      const error = new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'too many bytes held');
      if (!this.#closed) this.#fail(error);
    });
  }

  /** Closes the connection after an error of the client (RFC 9113 section 5.4.1). */
  #fail(error: ConnectionError): void {
    this.#input.stop();
    this.#sender.writer.goAway(this.#streams.lastId, error.code, error.message);
    this.#close();
    this.#destroyLater();
  }

  /** All streams have ended after a shutdown. Closes when the client has read everything, even if it reads slowly. */
  #closeDrained(): void {
    this.#close();
    this.socket.once('finish', () => this.#destroyLater());
  }

  /** Writes the gathered frames to the socket and ends it. */
  #close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    this.#input.stop();
    this.#sender.stop();
    this.#streams.resetAll();
    this.#held.close();
    this.socket.end();
    // Further bytes are read and dropped. Otherwise closing could send a TCP reset that overtakes the GOAWAY.
    this.socket.resume();
  }

  /** Destroys the socket if the client does not close its side in time. */
  #destroyLater(): void {
    const { socket } = this;
    const timer = setTimeout(() => socket.destroy(), this.#limits.closeGraceMs);
    socket.once('close', () => clearTimeout(timer));
  }

  #destroy(): void {
    if (!this.#closed) {
      this.#closed = true;
      this.#input.stop();
      this.#sender.writer.discard();
      this.#sender.stop();
      this.#streams.resetAll();
      this.#held.close();
    }
    this.socket.destroy();
  }
}

function protocolError(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.PROTOCOL_ERROR, message);
}
