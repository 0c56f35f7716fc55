import type { Socket } from 'node:net';
import { ConnectionError, DEFAULT_WINDOW, ErrorCode, MAX_WINDOW } from './constants.ts';
import { FrameWriter } from './frame-writer.ts';
import { type HeaderPair, HpackEncoder } from './hpack-encoder.ts';
import { SendRound } from './send-round.ts';
import type { Http2Stream, ResponseShape, StreamEnd, StreamSender } from './stream.ts';

/** Notifications of the sender to its connection. */
export interface SenderHost {
  /** Frames wait to be flushed. */
  scheduleFlush(): void;
  /** Too many bytes wait for the socket: no further requests must be read until `resumeReading`. */
  pauseReading(): void;
  resumeReading(): void;
  /** Headers or data of a response were sent. */
  responseSent(): void;
  /** END_STREAM of a stream was sent. */
  streamEnded(stream: Http2Stream): void;
}

const MESSAGE_PREFIX_BYTES = 5;

/** The sending half of a connection: frames, windows granted by the client, and back pressure of the socket. */
export class Sender implements StreamSender {
  readonly writer = new FrameWriter();
  readonly encoder: HpackEncoder;
  readonly #socket: Socket;
  readonly #host: SenderHost;
  readonly #maxBacklogBytes: number;
  readonly #round = new SendRound();
  readonly #parts: Buffer[] = [];
  /** Bytes that the client allows the connection to send. */
  #window = DEFAULT_WINDOW;
  #backlogged = false;
  #stopped = false;

  constructor(
    socket: Socket,
    host: SenderHost,
    options: { maxSocketBacklogBytes: number; templates: readonly (readonly HeaderPair[])[] },
  ) {
    this.#socket = socket;
    this.#host = host;
    this.#maxBacklogBytes = options.maxSocketBacklogBytes;
    this.encoder = new HpackEncoder(options.templates);
  }

  /** Sends nothing more. */
  stop(): void {
    this.#stopped = true;
    this.#round.clear();
  }

  /** Response headers: a template of the encoder, or an encoded block. */
  headers(stream: Http2Stream, headers: number | Buffer, endStream: boolean): void {
    if (this.#stopped || stream.localClosed) return;
    stream.headersSent = true;
    this.#writeHeaders(stream.id, headers, endStream);
    this.#host.scheduleFlush();
    if (endStream) this.#host.streamEnded(stream);
  }

  /** A whole gRPC response: headers, one DATA frame and trailers. If the windows allow it, nothing is queued. */
  messageResponse(
    stream: Http2Stream,
    shape: ResponseShape,
    parts: Buffer | readonly Buffer[],
    messageBytes: number,
  ): void {
    if (this.#stopped || stream.localClosed) return;
    stream.headersSent = true;
    this.#writeHeaders(stream.id, shape.headers, false);
    if (!this.#canSendNow(stream, messageBytes + MESSAGE_PREFIX_BYTES)) {
      queueMessage(stream, parts, messageBytes);
      stream.end(shape.trailers);
      return;
    }
    this.#writeMessage(stream, parts, messageBytes);
    this.#writeHeaders(stream.id, shape.trailers, true);
    this.#host.scheduleFlush();
    this.#host.streamEnded(stream);
  }

  /** One message of a response whose headers were sent. It is framed at once if nothing blocks it. */
  message(stream: Http2Stream, parts: Buffer | readonly Buffer[], messageBytes: number): void {
    if (this.#stopped || stream.localClosed) return;
    if (stream.hasOutput || !this.#canSendNow(stream, messageBytes + MESSAGE_PREFIX_BYTES)) {
      queueMessage(stream, parts, messageBytes);
      return;
    }
    this.#writeMessage(stream, parts, messageBytes);
    this.#host.responseSent();
    this.#host.scheduleFlush();
  }

  /** Sends queued data of a stream as windows and socket allow, now and later. */
  queued(stream: Http2Stream): void {
    if (this.#stopped || stream.gone) return;
    if (stream.hasSendableData) {
      this.#round.add(stream);
      this.run();
      return;
    }
    const end = stream.takeEnd();
    if (end === undefined) return;
    if (end === 'data') this.writer.dataHeader(stream.id, 0, true);
    this.#end(stream, end);
  }

  /**
   * The client increases the connection window by `increment` bytes.
   *
   * @throws ConnectionError FLOW_CONTROL_ERROR if the window gets larger than the protocol allows
   */
  grow(increment: number): void {
    this.#window += increment;
    if (this.#window > MAX_WINDOW) {
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'connection window too large');
    }
    this.run();
  }

  /** The window of a stream has grown. Its data is sent with the next `run`. */
  unblock(stream: Http2Stream): void {
    if (stream.sendWindow > 0 && stream.hasSendableData) this.#round.add(stream);
  }

  /** Sends data of the streams by round robin, one frame each, while the connection window and the socket allow it. */
  run(): void {
    const { writer } = this;
    // Reading the data of a stream may exceed the memory limit of the connection, which stops the sender.
    while (!this.#stopped && !this.#round.empty && this.#window > 0 && !this.#backlogged) {
      if (writer.pendingBytes + this.#socket.writableLength > this.#maxBacklogBytes) break;
      const stream = this.#round.take();
      if (!stream.gone && this.#sendOneFrame(stream)) this.#round.add(stream);
    }
    if (writer.pendingBytes > 0) this.#host.scheduleFlush();
  }

  /** Writes the gathered frames to the socket. */
  flush(): void {
    this.writer.flush(this.#socket);
    if (this.#socket.writableLength > this.#maxBacklogBytes) {
      // No requests are read from a client that does not read its responses.
      this.#backlogged = true;
      this.#host.pauseReading();
    } else if (!this.#round.empty && !this.#socket.writableNeedDrain) {
      this.run();
    }
  }

  /** The socket has written everything. */
  drained(): void {
    if (this.#stopped) return;
    if (this.#backlogged) {
      this.#backlogged = false;
      this.#host.resumeReading();
    }
    this.run();
  }

  #canSendNow(stream: Http2Stream, length: number): boolean {
    return (
      length <= this.#window &&
      length <= stream.sendWindow &&
      length <= this.writer.maxFrameBytes &&
      !this.#backlogged &&
      this.writer.pendingBytes <= this.#maxBacklogBytes
    );
  }

  #writeMessage(stream: Http2Stream, parts: Buffer | readonly Buffer[], messageBytes: number): void {
    const { writer } = this;
    const length = messageBytes + MESSAGE_PREFIX_BYTES;
    this.#window -= length;
    stream.sendWindow -= length;
    writer.dataHeader(stream.id, length, false);
    writer.messagePrefix(false, messageBytes);
    if (Buffer.isBuffer(parts)) writer.bytes(parts);
    else for (const part of parts) writer.bytes(part);
  }

  #writeHeaders(streamId: number, headers: number | Buffer, endStream: boolean): void {
    const { encoder } = this;
    const block = typeof headers === 'number' ? encoder.template(headers) : encoder.prefixed(headers);
    this.writer.headers(streamId, block, endStream);
    this.#host.responseSent();
  }

  /** Sends one frame with data of a stream. True if the stream could send more at once. */
  #sendOneFrame(stream: Http2Stream): boolean {
    const { writer } = this;
    const most = Math.min(writer.maxFrameBytes, this.#window, stream.sendWindow);
    if (most <= 0) return false;
    const parts = this.#parts;
    const length = stream.takeData(most, parts);
    if (length > 0) {
      this.#window -= length;
      stream.sendWindow -= length;
      const end = stream.takeEnd();
      writer.dataHeader(stream.id, length, end === 'data');
      for (const part of parts) writer.bytes(part);
      parts.length = 0;
      this.#host.responseSent();
      if (end !== undefined) {
        this.#end(stream, end);
        return false;
      }
      if (stream.takeDrain()) stream.listener?.onDrain();
    }
    return !stream.localClosed && stream.sendWindow > 0 && stream.hasSendableData;
  }

  #end(stream: Http2Stream, end: StreamEnd): void {
    if (end !== 'data') this.#writeHeaders(stream.id, end, true);
    this.#host.scheduleFlush();
    this.#host.streamEnded(stream);
  }
}

function queueMessage(stream: Http2Stream, parts: Buffer | readonly Buffer[], messageBytes: number): void {
  const prefix = Buffer.allocUnsafe(MESSAGE_PREFIX_BYTES);
  prefix[0] = 0;
  prefix.writeUInt32BE(messageBytes, 1);
  stream.write(Buffer.isBuffer(parts) ? [prefix, parts] : [prefix, ...parts]);
}
