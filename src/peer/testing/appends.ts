import type { SeededRandom } from '../../lib/seeded-random.ts';
import { type Entry, Message, MessageType } from '../../wire/gen/raftpb.ts';
import type { StreamDecoder } from '../stream-codec.ts';

export const LOCAL = 0xb00n;
export const REMOTE = 0xa00n;

export function entry(index: number, term: number, data: Buffer | undefined): Entry {
  return { type: 0, term, index, data };
}

export function append(fields: Partial<Message>): Message {
  return Message.create({ type: MessageType.MsgApp, to: LOCAL, from: REMOTE, ...fields });
}

/** Feeds bytes in pieces of `size`. */
export function decodeInPieces(decoder: StreamDecoder, bytes: Buffer, size: number): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at < bytes.length; at += size) decoder.decode(bytes.subarray(at, at + size), messages);
  return messages;
}

/** A leader's appends: mostly in sequence, sometimes after a gap or in a new term. */
export function randomAppends(random: SeededRandom, count: number): Message[] {
  let index = 5;
  let term = 2;
  return Array.from({ length: count }, () => {
    const previousTerm = term;
    if (random.int(10) === 0) term += 1;
    if (random.int(10) === 0) index += random.int(5);
    const entries = Array.from({ length: random.int(4) }, (_, i) => {
      const size = random.int(5) === 0 ? 4096 + random.int(9000) : random.int(100);
      return entry(index + 1 + i, term, size === 0 ? undefined : Buffer.alloc(size, i));
    });
    const message = append({ term, logTerm: previousTerm, index, entries, commit: index });
    index += entries.length;
    return message;
  });
}
