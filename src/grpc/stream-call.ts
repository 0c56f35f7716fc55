import { ErrorCode } from '../http2/constants.ts';
import type { ByteSource, StreamListener } from '../http2/stream.ts';
import { Call } from './call.ts';
import { compress, decompress } from './compression.ts';
import { MESSAGE_PREFIX_BYTES, MessageReader, type MessageSink } from './message-reader.ts';
import type { ReceiveClaim } from './receive-budget.ts';
import { MAX_SEND_BYTES, tooLargeToSend } from './send-limit.ts';
import { Status } from './status.ts';

/** Called when the headers of a call have arrived. It must set the callbacks of the call before it returns. */
export type StreamHandler = (call: StreamCall) => void;

/** Bytes queued on one stream at which `write` asks its caller to wait. */
export const WRITE_HIGH_WATER_BYTES = 256 * 1024;

const CARDINALITY = 'cardinality violation';

interface ReceivedMessage {
  readonly bytes: Buffer;
  readonly compressed: boolean;
  /** Memory reserved for it beyond the window. */
  readonly claim: ReceiveClaim | undefined;
}

/** A call with a stream of messages in one direction or both. */
export class StreamCall extends Call implements StreamListener, MessageSink {
  /** Whether the client may send more than one message. Set by the server before any data arrives. */
  clientStreaming = true;
  /** Called with each request message, in order, while not paused. */
  onMessage: ((message: Buffer) => void) | undefined;
  /** Called when the client has sent its last message and all messages were delivered. */
  onHalfClose: (() => void) | undefined;
  /** Called after `write` returned false, when the caller may write again. */
  onWritable: (() => void) | undefined;

  readonly #reader = new MessageReader(this, this.context.maxReceiveBytes);
  #claim: ReceiveClaim | undefined;
  #paused = false;
  #halfClosed = false;
  #delivered = false;
  #halfCloseDelivered = false;
  /** Messages received while paused or while one is being decompressed. */
  #waiting: ReceivedMessage[] = [];
  #decompressing = false;
  /** Each compressed response waits for the one before, to keep the order. */
  #compression: Promise<void> | undefined;
  #compressingBytes = 0;
  #wantsRoom = false;

  /** Stops delivering messages and refilling the client's window. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#deliverWaiting();
  }

  /**
   * Sends one response message, as a whole or in parts, which must not change afterwards. Returns false if too much is
   * queued, since the client reads too slowly: the caller should wait for `onWritable`. The message is queued in any
   * case, unless it is too large to be sent. That ends the call like a cancellation.
   */
  write(parts: Buffer | readonly Buffer[], totalBytes?: number): boolean {
    if (this.ended) return true;
    const bytes = totalBytes ?? (Buffer.isBuffer(parts) ? parts.length : sum(parts));
    if (bytes > MAX_SEND_BYTES) {
      this.fault(Status.RESOURCE_EXHAUSTED, tooLargeToSend(bytes));
      return true;
    }
    this.stats.messagesSent++;
    this.context.counters.messageBytesSent += bytes;
    this.observer?.responded(parts);
    if (this.gzip) {
      this.#writeCompressed(Buffer.isBuffer(parts) ? [parts] : parts, bytes);
      return this.#hasRoom();
    }
    if (!this.stream.headersSent) this.sendHeaders();
    this.stream.sendMessage(parts, bytes);
    return this.#hasRoom();
  }

  /**
   * Sends one response message of `totalBytes` that is made as the client takes it. Nothing else is written until the
   * source has given all of it. A client that compresses gets it uncompressed, which every message may be.
   */
  writeSource(totalBytes: number, source: ByteSource): void {
    if (this.ended || totalBytes > MAX_SEND_BYTES) {
      source.dropped?.();
      if (!this.ended) this.fault(Status.RESOURCE_EXHAUSTED, tooLargeToSend(totalBytes));
      return;
    }
    this.stats.messagesSent++;
    this.context.counters.messageBytesSent += totalBytes;
    if (!this.stream.headersSent) this.sendHeaders();
    const prefix = Buffer.allocUnsafe(MESSAGE_PREFIX_BYTES);
    prefix[0] = 0;
    prefix.writeUInt32BE(totalBytes, 1);
    this.stream.write(prefix);
    this.stream.writeSource(source, totalBytes);
  }

  /** The source of a message that had nothing has bytes now. */
  sourceReady(): void {
    this.stream.sourceReady();
  }

  /** Aborts a message in progress, so that the client cannot mistake it for a complete one. */
  abort(): void {
    this.stream.reset(ErrorCode.CANCEL);
  }

  /** Bytes of messages that the client has not read yet. */
  get queuedBytes(): number {
    return this.stream.queuedBytes + this.#compressingBytes;
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
    if (this.ended || !this.#wantsRoom) return;
    if (this.queuedBytes >= WRITE_HIGH_WATER_BYTES / 2) {
      this.stream.wantDrain();
      return;
    }
    this.#wantsRoom = false;
    this.onWritable?.();
  }

  onMessageStart(length: number): void {
    this.#claim = this.makeRoom(length);
  }

  onRawMessage(bytes: Buffer, compressed: boolean): void {
    const claim = this.#claim;
    this.#claim = undefined;
    const received = { bytes, compressed, claim };
    if (
      this.#paused ||
      compressed ||
      this.#waiting.length > 0 ||
      this.#decompressing ||
      !this.clientStreaming
    ) {
      this.#waiting.push(received);
      this.#deliverWaiting();
      return;
    }
    this.#deliver(received, bytes);
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
    if (this.queuedBytes < WRITE_HIGH_WATER_BYTES) return true;
    this.#wantsRoom = true;
    this.stream.wantDrain();
    return false;
  }

  #deliver({ bytes, claim }: ReceivedMessage, message: Buffer): void {
    this.#delivered = true;
    this.stats.messagesReceived++;
    this.context.counters.messageBytesReceived += message.length;
    // Window that was granted for this message is not refilled.
    const beyond = claim?.granted === true ? claim.bytes : 0;
    if (claim !== undefined) this.releaseRoom(claim);
    const taken = bytes.length + MESSAGE_PREFIX_BYTES;
    this.stream.consume(Math.max(0, taken - beyond), taken);
    this.observer?.received(message);
    this.onMessage?.(message);
  }

  #deliverWaiting(): void {
    // The message of a call without client streaming is delivered when it is known that there is only one.
    if (!this.clientStreaming && !this.#checkSingle()) return;
    while (!this.#paused && !this.#decompressing && !this.ended) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      if (!next.compressed) {
        this.#deliver(next, next.bytes);
      } else if (this.gzip) {
        this.#decompressing = true;
        const claim = this.claimRoom(this.context.maxReceiveBytes, () => {
          void this.#decompressNext(next, () => this.releaseRoom(claim));
        });
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

  /** False while the message of a call without client streaming can't be delivered yet, or never can. */
  #checkSingle(): boolean {
    if (this.#waiting.length > 1) {
      this.fault(
        Status.INTERNAL,
        `${CARDINALITY}: received multiple request messages for non-client-streaming RPC`,
      );
    } else if (this.#halfClosed && this.#waiting.length === 0 && !this.#delivered && !this.#decompressing) {
      this.fault(
        Status.INTERNAL,
        `${CARDINALITY}: received no request message from non-client-streaming RPC`,
      );
    }
    return this.#halfClosed && !this.ended;
  }

  async #decompressNext(received: ReceivedMessage, release: () => void): Promise<void> {
    const expanded = await decompress(received.bytes, this.context.maxReceiveBytes);
    release();
    this.#decompressing = false;
    if (this.ended) return;
    if (!Buffer.isBuffer(expanded)) {
      this.fault(expanded.code, expanded.message);
      return;
    }
    this.#deliver(received, expanded);
    this.#deliverWaiting();
  }

  #writeCompressed(parts: readonly Buffer[], bytes: number): void {
    const before = this.#compression ?? Promise.resolve();
    const compressed = compress(parts);
    this.#compressingBytes += bytes;
    this.#compression = before.then(async () => {
      const body = await compressed;
      this.#compressingBytes -= bytes;
      if (this.ended) return;
      if (!this.stream.headersSent) this.sendHeaders();
      const prefix = Buffer.allocUnsafe(MESSAGE_PREFIX_BYTES);
      prefix[0] = 1;
      prefix.writeUInt32BE(body.length, 1);
      this.stream.write([prefix, body]);
      // If nothing is queued any more, no drain will be reported.
      this.onDrain();
    });
  }
}

function sum(parts: readonly Buffer[]): number {
  let bytes = 0;
  for (const part of parts) bytes += part.length;
  return bytes;
}
