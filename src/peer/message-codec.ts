import { Message, MessageType } from '../wire/gen/raftpb.ts';
import { ByteQueue } from './byte-queue.ts';
import { splicedBytes, writeMessage } from './message-bytes.ts';
import { type Framing, SpliceWriter } from './splice-writer.ts';
import type { EncodedBatch, StreamDecoder, StreamEncoder } from './stream-codec.ts';
import { StreamFormatError } from './stream-error.ts';

/** Longest accepted message, as in etcd. Memory is allocated only for bytes that have arrived. */
export const MAX_MESSAGE_BYTES = 512 * 1024 * 1024;

const LENGTH_BYTES = 8;

/** The heartbeat of the stream itself: an empty heartbeat message after its length. */
const linkHeartbeat = Buffer.from([0, 0, 0, 0, 0, 0, 0, 2, 8, MessageType.MsgHeartbeat]);

export function isLinkHeartbeat(message: Message): boolean {
  return message.type === MessageType.MsgHeartbeat && message.from === 0n && message.to === 0n;
}

/** Encodes each message after its length in eight bytes. */
export class MessageEncoder implements StreamEncoder {
  encode(messages: readonly Message[], framing: Framing): EncodedBatch {
    const sizes: number[] = [];
    let bytes = 0;
    let spliced = 0;
    for (const message of messages) {
      const size = Message.size(message);
      sizes.push(size);
      bytes += LENGTH_BYTES + size;
      spliced += splicedBytes(message.entries);
    }
    const out = new SpliceWriter({ bytes, splicedBytes: spliced }, framing);
    for (const [i, message] of messages.entries()) {
      out.uint64BE(sizes[i] ?? 0);
      writeMessage(message, out);
    }
    return { parts: out.finish(), bytes };
  }

  heartbeat(): Buffer {
    return linkHeartbeat;
  }
}

export class MessageDecoder implements StreamDecoder {
  readonly #received = new ByteQueue();
  readonly #maxBytes: number;
  /** Length of the next message; undefined while the length itself is read. */
  #next: number | undefined;

  constructor(maxBytes: number = MAX_MESSAGE_BYTES) {
    this.#maxBytes = maxBytes;
  }

  decode(bytes: Buffer, messages: Message[]): void {
    this.#received.push(bytes);
    for (;;) {
      const message = this.#take();
      if (message === undefined) return;
      if (!isLinkHeartbeat(message)) messages.push(message);
    }
  }

  /** Reads bytes up to the end of the first message. `rest` has the bytes after it. */
  decodeFirst(bytes: Buffer): { message: Message; rest: Buffer } | undefined {
    this.#received.push(bytes);
    const message = this.#take();
    return message === undefined ? undefined : { message, rest: this.#received.take(this.#received.length) };
  }

  #take(): Message | undefined {
    const received = this.#received;
    if (this.#next === undefined) {
      if (received.length < LENGTH_BYTES) return undefined;
      const length = received.takeUint64();
      if (length > this.#maxBytes) throw new StreamFormatError(`a message of ${length} bytes is too long`);
      this.#next = length;
    }
    if (received.length < this.#next) return undefined;
    const message = Message.decode(received.take(this.#next));
    this.#next = undefined;
    return message;
  }
}
