import type { Message } from '../wire/gen/raftpb.ts';
import { AppendDecoder, AppendEncoder } from './append-codec.ts';
import { MessageDecoder, MessageEncoder } from './message-codec.ts';
import type { Framing } from './splice-writer.ts';

/**
 * The two streams from each member to each other one. Appends have a separate stream with a shorter encoding, so that
 * nothing else waits behind them.
 */
export const StreamKind = { Append: 'msgapp', Message: 'message' } as const;
export type StreamKind = (typeof StreamKind)[keyof typeof StreamKind];

export const streamKinds: readonly StreamKind[] = [StreamKind.Append, StreamKind.Message];

/** An encoded batch: slices to write in order, and their size without the framing. */
export interface EncodedBatch {
  readonly parts: Buffer[];
  readonly bytes: number;
}

export interface StreamEncoder {
  encode(messages: readonly Message[], framing: Framing): EncodedBatch;
  /** The heartbeat of an idle stream. */
  heartbeat(): Buffer;
}

export interface StreamDecoder {
  /**
   * Reads the next bytes, and adds completed messages to `messages`. Heartbeats are dropped.
   *
   * @throws StreamFormatError or WireError; the stream can't be read further then
   */
  decode(bytes: Buffer, messages: Message[]): void;
}

export function streamEncoder(kind: StreamKind): StreamEncoder {
  return kind === StreamKind.Append ? new AppendEncoder() : new MessageEncoder();
}

export function streamDecoder(kind: StreamKind, ends: { local: bigint; remote: bigint }): StreamDecoder {
  return kind === StreamKind.Append ? new AppendDecoder(ends) : new MessageDecoder();
}
