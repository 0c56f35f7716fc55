import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

/** Reads and writes one message type. */
export interface MessageCodec<T> {
  /** With its package, as `etcdserverpb.RangeRequest`. */
  readonly typeName: string;
  /** A message with the wire's defaults in all fields but those given. */
  create(partial?: Partial<T>): T;
  /** Encoded length in bytes. */
  size(message: T): number;
  /** Writes exactly `size(message)` bytes. */
  write(message: T, writer: Writer): void;
  /** Reads fields up to `end`, onto `into` when given: a message that is sent twice merges. @throws WireError */
  read(reader: Reader, end: number, into?: T): T;
  encode(message: T): Buffer;
  /** @throws WireError for bytes that are no such message */
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
  /** With its package, as `etcdserverpb.KV`. */
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
