import type { StreamListener } from '../http2/stream.ts';
import { Call } from './call.ts';
import { compress, decompress } from './compression.ts';
import { MESSAGE_PREFIX_BYTES, MessageReader, type MessageSink } from './message-reader.ts';
import { Status } from './status.ts';

/** Called when the headers of a call have arrived; it sets the call's callbacks before it returns. */
export type StreamHandler = (call: StreamCall) => void;

/** Bytes queued on one stream at which `write` asks its caller to wait. */
export const WRITE_HIGH_WATER_BYTES = 256 * 1024;

interface ReceivedMessage {
  readonly bytes: Buffer;
  readonly compressed: boolean;
}

/** A call with a stream of messages in one direction or both. */
export class StreamCall extends Call implements StreamListener, MessageSink {
  /** A request message, in order, while not paused. */
  onMessage: ((message: Buffer) => void) | undefined;
  /** The client has sent its last message, and all of them were delivered. */
  onHalfClose: (() => void) | undefined;
  /** After `write` returned false: there is room again. */
  onWritable: (() => void) | undefined;

  readonly #reader = new MessageReader(this, this.context.maxReceiveBytes);
  #paused = false;
  #halfClosed = false;
  #halfCloseDelivered = false;
  /** Messages received while paused or while one is being decompressed. */
  #waiting: ReceivedMessage[] = [];
  #decompressing = false;
  /** Compressed responses must keep their order: each waits for the one before. */
  #compression: Promise<void> | undefined;

  /** Messages stop being delivered, and the client's window stops being refilled. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#deliverWaiting();
  }

  /** Sends the response headers now, instead of with the first message. */
  sendInitialHeaders(): void {
    if (!this.ended && !this.stream.headersSent) this.sendHeaders();
  }

  /**
   * Sends one response message, given whole or in parts, which must not change afterwards. False asks the caller to
   * wait for `onWritable`: so much is queued that the client does not keep up. The message is queued in any case.
   */
  write(parts: Buffer | readonly Buffer[], totalBytes?: number): boolean {
    if (this.ended) return true;
    const bytes = totalBytes ?? (Buffer.isBuffer(parts) ? parts.length : sum(parts));
    this.stats.messagesSent++;
    this.context.counters.messageBytesSent += bytes;
    if (this.gzip) {
      this.#writeCompressed(Buffer.isBuffer(parts) ? [parts] : parts);
      return this.#hasRoom();
    }
    if (!this.stream.headersSent) this.sendHeaders();
    this.stream.connection.sendMessage(this.stream, parts, bytes);
    return this.#hasRoom();
  }

  /** Bytes of messages that the client has not taken yet. */
  get queuedBytes(): number {
    return this.stream.queuedBytes;
  }

  /** Ends the call after the messages written; OK unless a status is given. */
  end(code: number = Status.OK, message = ''): void {
    if (this.#compression === undefined) {
      this.endWith(code, message);
      return;
    }
    void this.#compression.then(() => this.endWith(code, message));
  }

  override fail(code: number, message: string): void {
    this.end(code, message);
  }

  onData(data: Buffer, endStream: boolean): void {
    if (this.ended) return;
    if (data.length > 0) this.#reader.push(data);
    if (!endStream) return;
    if (!this.#reader.atBoundary) {
      this.fault(Status.INTERNAL, 'unexpected EOF');
      return;
    }
    this.#halfClosed = true;
    this.#deliverWaiting();
  }

  onDrain(): void {
    if (!this.ended) this.onWritable?.();
  }

  onMessageStart(length: number): void {
    if (length > this.stream.receiveWindow) this.stream.connection.grant(this.stream, length);
  }

  onRawMessage(bytes: Buffer, compressed: boolean): void {
    if (this.#paused || this.#decompressing || this.#waiting.length > 0 || compressed) {
      this.#waiting.push({ bytes, compressed });
      this.#deliverWaiting();
      return;
    }
    this.#deliver(bytes, bytes.length);
  }

  onMessageFault(code: Status, message: string): void {
    this.fault(code, message);
  }

  protected override finish(code: number): void {
    super.finish(code);
    this.#reader.stop();
    this.#waiting = [];
  }

  #hasRoom(): boolean {
    if (this.stream.queuedBytes < WRITE_HIGH_WATER_BYTES) return true;
    this.stream.wantDrain();
    return false;
  }

  #deliver(message: Buffer, wireBytes: number): void {
    this.stats.messagesReceived++;
    this.context.counters.messageBytesReceived += message.length;
    this.stream.consume(wireBytes + MESSAGE_PREFIX_BYTES);
    this.onMessage?.(message);
  }

  #deliverWaiting(): void {
    while (!this.#paused && !this.#decompressing && !this.ended) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      if (!next.compressed) {
        this.#deliver(next.bytes, next.bytes.length);
      } else if (this.gzip) {
        this.#decompressing = true;
        void this.#decompressNext(next.bytes);
      } else {
        this.fault(Status.INTERNAL, 'grpc: compressed flag set with identity or empty encoding');
      }
    }
    const drained = this.#waiting.length === 0 && !this.#decompressing && !this.#paused;
    if (this.#halfClosed && drained && !this.#halfCloseDelivered && !this.ended) {
      this.#halfCloseDelivered = true;
      this.onHalfClose?.();
    }
  }

  async #decompressNext(bytes: Buffer): Promise<void> {
    const expanded = await decompress(bytes, this.context.maxReceiveBytes);
    this.#decompressing = false;
    if (this.ended) return;
    if (!Buffer.isBuffer(expanded)) {
      this.fault(expanded.code, expanded.message);
      return;
    }
    this.#deliver(expanded, bytes.length);
    this.#deliverWaiting();
  }

  #writeCompressed(parts: readonly Buffer[]): void {
    const before = this.#compression ?? Promise.resolve();
    const compressed = compress(parts);
    this.#compression = before.then(async () => {
      const body = await compressed;
      if (this.ended) return;
      if (!this.stream.headersSent) this.sendHeaders();
      const prefix = Buffer.allocUnsafe(MESSAGE_PREFIX_BYTES);
      prefix[0] = 1;
      prefix.writeUInt32BE(body.length, 1);
      this.stream.write([prefix, body]);
    });
  }
}

function sum(parts: readonly Buffer[]): number {
  let bytes = 0;
  for (const part of parts) bytes += part.length;
  return bytes;
}
