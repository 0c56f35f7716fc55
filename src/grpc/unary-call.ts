import { ErrorCode } from '../http2/constants.ts';
import type { ByteSource, StreamListener } from '../http2/stream.ts';
import { Call } from './call.ts';
import { compress, decompress } from './compression.ts';
import { MESSAGE_PREFIX_BYTES, MessageReader, type MessageSink } from './message-reader.ts';
import type { ReceiveClaim } from './receive-budget.ts';
import { OK_TRAILERS_TEMPLATE, PLAIN_CONTENT_TYPE, PLAIN_RESPONSE } from './response-blocks.ts';
import { MAX_SEND_BYTES, tooLargeToSend } from './send-limit.ts';
import { Status } from './status.ts';

/** Called with the request's bytes once they have arrived. It responds at once or later through `call`. */
export type UnaryHandler = (call: UnaryCall, request: Buffer) => void;

/** A call with one request message and one response message. */
export class UnaryCall extends Call implements StreamListener, MessageSink {
  /** Set by the server before any data arrives. */
  handler: UnaryHandler | undefined;
  #reader: MessageReader | undefined;
  #message: Buffer | undefined;
  /** The message has arrived; what follows it counts for nothing. */
  #hasMessage = false;
  #compressed = false;
  /** Of a message that arrives in parts. */
  #receivedBytes = 0;
  #claim: ReceiveClaim | undefined;
  /** Kept only if slow calls are reported. */
  #request: Buffer | undefined;
  #response: Buffer | readonly Buffer[] | undefined;
  #responseBytes = 0;
  #dispatchedAt = 0;

  /**
   * Ends the call with its response message, as a whole or in parts. Large parts are sent without a copy, and must not
   * change afterwards. Does nothing if the call has ended.
   */
  respond(
    parts: Buffer | readonly Buffer[],
    totalBytes = Buffer.isBuffer(parts) ? parts.length : sum(parts),
  ): void {
    if (this.ended || this.#isRefused(totalBytes)) return;
    this.observer?.responded(parts);
    if (this.#request !== undefined) this.#response = parts;
    if (this.gzip) {
      void this.#respondCompressed(Buffer.isBuffer(parts) ? [parts] : parts, totalBytes);
      return;
    }
    this.#countResponse(totalBytes);
    if (this.contentType !== PLAIN_CONTENT_TYPE) {
      this.sendHeaders();
      this.stream.sendMessage(parts, totalBytes);
      this.stream.end(OK_TRAILERS_TEMPLATE);
      return;
    }
    this.stream.respond(PLAIN_RESPONSE, parts, totalBytes);
  }

  /**
   * Ends the call with a response of `totalBytes` that is produced as the client reads it, so that memory is bounded. A
   * client that compresses gets it uncompressed, which is allowed for every message.
   */
  respondStream(totalBytes: number, source: ByteSource): void {
    if (this.ended || this.#isRefused(totalBytes)) {
      source.dropped?.();
      return;
    }
    this.#countResponse(totalBytes);
    const prefix = Buffer.allocUnsafe(MESSAGE_PREFIX_BYTES);
    prefix[0] = 0;
    prefix.writeUInt32BE(totalBytes, 1);
    this.sendHeaders();
    this.stream.write(prefix);
    if (totalBytes > 0) this.stream.writeSource(source, totalBytes);
    this.stream.end(OK_TRAILERS_TEMPLATE);
  }

  /** Aborts a started response, so that the client does not treat it as complete. */
  abort(): void {
    this.stream.reset(ErrorCode.CANCEL);
  }

  /** A source of `respondStream` that returned undefined has bytes again. */
  sourceReady(): void {
    this.stream.sourceReady();
  }

  onData(data: Buffer, endStream: boolean): void {
    if (this.ended) return;
    if (this.#hasMessage) {
      if (endStream) this.#deliverWaiting();
      else this.stream.consume(0, data.length);
      return;
    }
    if (this.#reader === undefined && data.length >= MESSAGE_PREFIX_BYTES && data[0] === 0) {
      const length = data.readUInt32BE(1);
      if (length === data.length - MESSAGE_PREFIX_BYTES && length <= this.context.maxReceiveBytes) {
        this.#message = data.subarray(MESSAGE_PREFIX_BYTES);
        this.#onMessage(data.length, endStream);
        return;
      }
    }
    this.#reader ??= new MessageReader(this, this.context.maxReceiveBytes);
    this.#reader.push(data);
    this.#receivedBytes += data.length;
    if (this.#message !== undefined) this.#onMessage(this.#receivedBytes, endStream);
    else if (endStream) this.fault(Status.UNKNOWN, this.#reader.atBoundary ? 'EOF' : 'unexpected EOF');
  }

  /** The request as a whole, whose length was checked before. */
  protected deliver(message: Buffer): void {
    if (this.ended || this.#hasMessage) return;
    this.#hasMessage = true;
    this.#dispatch(message);
  }

  onDrain(): void {
    // A unary response is queued as a whole. No code waits for a drain.
  }

  onMessageStart(length: number): void {
    this.#claim ??= this.makeRoom(length);
  }

  onRawMessage(bytes: Buffer, compressed: boolean): void {
    // Only the first message counts, as in grpc-go's server.
    this.#reader?.stop();
    this.#message = bytes;
    this.#compressed = compressed;
  }

  onMessageFault(code: Status, message: string): void {
    this.fault(code, message);
  }

  /** As in etcd, the error of a handler counts as a sent message. */
  override fail(code: number, message: string): void {
    if (!this.ended) this.stats.messagesSent++;
    super.fail(code, message);
  }

  override onReset(): void {
    this.#reader?.stop();
    super.onReset();
  }

  protected override finish(code: number): void {
    super.finish(code);
    const request = this.#request;
    const slow = this.context.slowCalls;
    if (request === undefined || slow === undefined) return;
    const tookMs = this.context.now() - this.#dispatchedAt;
    if (tookMs > slow.thresholdMs) {
      const { service, method } = this.stats;
      const ended = { path: `/${service}/${method}`, peer: this.peer, request, tookMs };
      slow.report({ ...ended, response: this.#response, responseBytes: this.#responseBytes });
    }
    this.#request = undefined;
    this.#response = undefined;
  }

  /** As grpc-go, a call waits for its message and not for the end of the stream. */
  #onMessage(receivedBytes: number, endStream: boolean): void {
    if (this.ended) return;
    this.#hasMessage = true;
    if (endStream) {
      this.#deliverWaiting();
      return;
    }
    this.stream.consume(0, receivedBytes);
    // The end of the stream mostly comes in the next frame: answered before, the client would get a reset as well.
    queueMicrotask(() => this.#deliverWaiting());
  }

  /** Hands over the message unless that has been done. */
  #deliverWaiting(): void {
    const message = this.#message;
    if (this.ended || message === undefined) return;
    this.#message = undefined;
    if (!this.#compressed) {
      this.#dispatch(message);
      return;
    }
    if (!this.gzip) {
      this.fault(Status.INTERNAL, 'grpc: compressed flag set with identity or empty encoding');
      return;
    }
    // The decompressed size is not known, so memory for the largest message is reserved.
    const claim = this.claimRoom(this.context.maxReceiveBytes, () => {
      void this.#dispatchCompressed(message, () => this.releaseRoom(claim));
    });
  }

  async #dispatchCompressed(message: Buffer, release: () => void): Promise<void> {
    const expanded = await decompress(message, this.context.maxReceiveBytes);
    release();
    if (this.ended) return;
    if (Buffer.isBuffer(expanded)) this.#dispatch(expanded);
    else this.fault(expanded.code, expanded.message);
  }

  #dispatch(request: Buffer): void {
    this.#reader = undefined;
    if (this.#claim !== undefined) this.releaseRoom(this.#claim);
    this.stats.messagesReceived++;
    this.context.counters.messageBytesReceived += request.length;
    if (this.context.slowCalls !== undefined) {
      this.#request = request;
      this.#dispatchedAt = this.context.now();
    }
    this.handler?.(this, request);
  }

  /** The length of a message has 32 bits, and clients read it as a signed number. */
  #isRefused(totalBytes: number): boolean {
    if (totalBytes <= MAX_SEND_BYTES) return false;
    this.fail(Status.RESOURCE_EXHAUSTED, tooLargeToSend(totalBytes));
    return true;
  }

  async #respondCompressed(parts: readonly Buffer[], totalBytes: number): Promise<void> {
    const body = await compress(parts);
    if (this.ended) return;
    this.#countResponse(totalBytes);
    this.sendHeaders();
    const prefix = Buffer.allocUnsafe(MESSAGE_PREFIX_BYTES);
    prefix[0] = 1;
    prefix.writeUInt32BE(body.length, 1);
    this.stream.write(prefix);
    this.stream.write(body);
    this.stream.end(OK_TRAILERS_TEMPLATE);
  }

  #countResponse(totalBytes: number): void {
    this.stats.messagesSent++;
    this.context.counters.messageBytesSent += totalBytes;
    this.#responseBytes = totalBytes;
    this.finish(Status.OK);
  }
}

function sum(parts: readonly Buffer[]): number {
  let bytes = 0;
  for (const part of parts) bytes += part.length;
  return bytes;
}
