import { EMPTY } from '../wire/reader.ts';
import { allocateWithRoom } from '../wire/room.ts';
import { Status } from './status.ts';

export const MESSAGE_PREFIX_BYTES = 5;

/**
 * Memory for the whole message is allocated only when this much of it has arrived, so that a large length alone uses no
 * memory.
 */
const FULL_ALLOCATION_BYTES = 64 * 1024;
const FIRST_ALLOCATION_BYTES = 4 * 1024;

export interface MessageSink {
  /** A complete message; its memory may be kept. */
  onRawMessage(bytes: Buffer, compressed: boolean): void;
  /** The bytes are not valid messages, or one is too long. No further call follows. */
  onMessageFault(code: Status, message: string): void;
  /** A message of `length` bytes, including the prefix, has started. The sink may grant window for it. */
  onMessageStart(length: number): void;
}

/** Splits the data of a stream into gRPC messages. A message that is complete in one piece of data is not copied. */
export class MessageReader {
  readonly #sink: MessageSink;
  readonly #maxBytes: number;
  readonly #prefix = Buffer.allocUnsafe(MESSAGE_PREFIX_BYTES);
  #prefixFilled = 0;
  /** The message being assembled, if `#length` is not negative. */
  #body: Buffer | undefined;
  #filled = 0;
  #length = -1;
  #compressed = false;
  #stopped = false;

  constructor(sink: MessageSink, maxBytes: number) {
    this.#sink = sink;
    this.#maxBytes = maxBytes;
  }

  /** Whether it is between messages. As in grpc-go, an incomplete prefix also counts as between messages. */
  get atBoundary(): boolean {
    return this.#length < 0;
  }

  stop(): void {
    this.#stopped = true;
    this.#body = undefined;
  }

  push(data: Buffer): void {
    let position = 0;
    while (position < data.length && !this.#stopped) {
      if (this.#length < 0) {
        position = this.#readPrefix(data, position);
        if (this.#length < 0) continue;
      }
      const missing = this.#length - this.#filled;
      const available = data.length - position;
      if (this.#filled === 0 && available >= missing) {
        position += missing;
        this.#deliver(data.subarray(position - missing, position));
        continue;
      }
      const taken = Math.min(missing, available);
      this.#append(data, position, taken);
      position += taken;
      if (this.#filled === this.#length && this.#body !== undefined) this.#deliver(this.#body);
    }
  }

  #readPrefix(data: Buffer, from: number): number {
    let position = from;
    let prefix = data;
    let at = from;
    if (this.#prefixFilled > 0 || data.length - from < MESSAGE_PREFIX_BYTES) {
      const taken = Math.min(MESSAGE_PREFIX_BYTES - this.#prefixFilled, data.length - from);
      data.copy(this.#prefix, this.#prefixFilled, from, from + taken);
      this.#prefixFilled += taken;
      position = from + taken;
      if (this.#prefixFilled < MESSAGE_PREFIX_BYTES) return position;
      prefix = this.#prefix;
      at = 0;
    } else {
      position = from + MESSAGE_PREFIX_BYTES;
    }
    this.#prefixFilled = 0;
    const flag = prefix[at] as number;
    const length = prefix.readUInt32BE(at + 1);
    if (length > this.#maxBytes) {
      this.#fault(
        Status.RESOURCE_EXHAUSTED,
        `grpc: received message larger than max (${length} vs. ${this.#maxBytes})`,
      );
      return data.length;
    }
    if (flag > 1) {
      this.#fault(Status.INTERNAL, `grpc: received unexpected payload format ${flag}`);
      return data.length;
    }
    this.#compressed = flag === 1;
    this.#filled = 0;
    if (length === 0) {
      this.#deliver(EMPTY);
      return position;
    }
    this.#length = length;
    if (data.length - position < length) this.#sink.onMessageStart(length + MESSAGE_PREFIX_BYTES);
    return position;
  }

  #append(data: Buffer, from: number, bytes: number): void {
    const needed = this.#filled + bytes;
    let body = this.#body;
    if (body === undefined || body.length < needed) {
      const wanted =
        needed >= FULL_ALLOCATION_BYTES ? this.#length : Math.max(needed * 2, FIRST_ALLOCATION_BYTES);
      const grown = allocateWithRoom(Math.min(wanted, this.#length));
      if (body !== undefined) body.copy(grown, 0, 0, this.#filled);
      body = grown;
      this.#body = body;
    }
    data.copy(body, this.#filled, from, from + bytes);
    this.#filled = needed;
  }

  #deliver(bytes: Buffer): void {
    this.#length = -1;
    this.#filled = 0;
    this.#body = undefined;
    this.#sink.onRawMessage(bytes, this.#compressed);
  }

  #fault(code: Status, message: string): void {
    this.stop();
    this.#sink.onMessageFault(code, message);
  }
}
