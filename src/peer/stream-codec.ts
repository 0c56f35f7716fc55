import type { Message } from '../wire/gen/raftpb.ts';
import { AppendDecoder, AppendEncoder } from './append-codec.ts';
import { MessageDecoder, MessageEncoder } from './message-codec.ts';
import type { Framing } from './splice-writer.ts';

/**
 * The two streams that run from each member to each other one: appends have their own, so that nothing else waits
 * behind them, and a denser encoding.
 */
export const StreamKind = { Append: 'msgapp', Message: 'message' } as const;
export type StreamKind = (typeof StreamKind)[keyof typeof StreamKind];

export const streamKinds: readonly StreamKind[] = [StreamKind.Append, StreamKind.Message];

/** An encoded batch: slices to be written in order, and what they come to without their framing. */
export interface EncodedBatch {
  readonly parts: Buffer[];
  readonly bytes: number;
}

export interface StreamEncoder {
  encode(messages: readonly Message[], framing: Framing): EncodedBatch;
  /** Tells the other side that the connection is alive when there is nothing to say. */
  heartbeat(): Buffer;
}

export interface StreamDecoder {
  /**
   * Takes in the next bytes and adds the messages they complete to `messages`; heartbeats are dropped.
   *
   * @throws StreamFormatError or WireError; the stream can't be read any further then
   */
  decode(bytes: Buffer, messages: Message[]): void;
}

export function streamEncoder(kind: StreamKind): StreamEncoder {
  return kind === StreamKind.Append ? new AppendEncoder() : new MessageEncoder();
}

export function streamDecoder(kind: StreamKind, ends: { local: bigint; remote: bigint }): StreamDecoder {
  return kind === StreamKind.Append ? new AppendDecoder(ends) : new MessageDecoder();
}
