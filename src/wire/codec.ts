import type { Steps } from '../lib/steps.ts';
import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

/** Reads and writes one message type. */
export interface MessageCodec<T> {
  /** Full name with the package, such as `etcdserverpb.RangeRequest`. */
  readonly typeName: string;
  /** Creates a message with default values in all fields that are not given. */
  create(partial?: Partial<T>): T;
  /** Encoded length in bytes. */
  size(message: T): number;
  /** Writes exactly `size(message)` bytes. */
  write(message: T, writer: Writer): void;
  /** Reads fields up to `end` into `into` if given, since a message that is sent twice is merged. @throws WireError */
  read(reader: Reader, end: number, into?: T): T;
  encode(message: T): Buffer;
  /** @throws WireError for invalid bytes */
  decode(bytes: Uint8Array): T;
}

export interface MethodDescriptor {
  readonly name: string;
  /** The HTTP/2 path. */
  readonly path: string;
  readonly request: MessageCodec<unknown>;
  readonly response: MessageCodec<unknown>;
  readonly clientStreaming: boolean;
  readonly serverStreaming: boolean;
  /** Paths of the JSON gateway, all POST. */
  readonly routes: readonly string[];
}

export interface ServiceDescriptor {
  /** Full name with the package, such as `etcdserverpb.KV`. */
  readonly name: string;
  readonly methods: Readonly<Record<string, MethodDescriptor>>;
}

export function encodeWith<T>(codec: MessageCodec<T>, message: T): Buffer {
  const writer = new Writer(codec.size(message));
  codec.write(message, writer);
  return writer.finish();
}

export function decodeWith<T>(codec: MessageCodec<T>, bytes: Uint8Array): T {
  const reader = new Reader(bytes);
  return codec.read(reader, reader.length);
}

/** Fields of about so many bytes are read at a time: some thousand of the shortest. */
const PIECE_BYTES = 8 * 1024;
/** A step reads pieces until they had so many tags. The bytes of a value take no time, as they are not copied. */
const STEP_TAGS = 512;

/**
 * Decodes a message in steps, as it may have hundreds of thousands of fields.
 *
 * @param mostItems of a list of messages so many are kept; the others are only checked
 * @throws WireError as `decode`
 */
export function* decodeInSteps<T>(codec: MessageCodec<T>, bytes: Uint8Array, mostItems = Infinity): Steps<T> {
  const reader = new Reader(bytes);
  reader.mostItems = mostItems;
  let message = codec.read(reader, reader.endOfFields(PIECE_BYTES));
  let yieldedAt = 0;
  while (reader.position < reader.length) {
    if (reader.tags - yieldedAt >= STEP_TAGS) {
      yieldedAt = reader.tags;
      yield;
    }
    message = codec.read(reader, reader.endOfFields(PIECE_BYTES), message);
  }
  return message;
}
