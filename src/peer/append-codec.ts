import { Entry, Message, MessageType } from '../wire/gen/raftpb.ts';
import { ByteQueue } from './byte-queue.ts';
import { splicedBytes, writeEntry, writeMessage } from './message-bytes.ts';
import { MAX_MESSAGE_BYTES } from './message-codec.ts';
import { type Framing, SpliceWriter } from './splice-writer.ts';
import type { EncodedBatch, StreamDecoder, StreamEncoder } from './stream-codec.ts';
import { StreamFormatError } from './stream-error.ts';

/** First byte of each frame of the stream. */
const Frame = { Heartbeat: 0, Entries: 1, Message: 2 } as const;

const NUMBER_BYTES = 8;

const heartbeat = Buffer.from([Frame.Heartbeat]);

/**
 * The log position of the stream. An append that continues exactly there, in the same term, is sent as only its entries
 * and commit index. Any other append is sent as a whole message, and sets the position.
 */
class Place {
  term = 0;
  index = 0;

  follows({ index, logTerm, term }: Message): boolean {
    return index === this.index && logTerm === this.term && term === logTerm;
  }

  advance(message: Message): void {
    this.term = message.term;
    this.index = message.entries.at(-1)?.index ?? message.index;
  }
}

/** Appends of one leader to one follower. */
export class AppendEncoder implements StreamEncoder {
  readonly #place = new Place();

  encode(messages: readonly Message[], framing: Framing): EncodedBatch {
    const continues: boolean[] = [];
    let bytes = 0;
    let spliced = 0;
    for (const message of messages) {
      const follows = this.#place.follows(message);
      continues.push(follows);
      bytes += 1 + (follows ? entriesSize(message.entries) : NUMBER_BYTES + Message.size(message));
      spliced += splicedBytes(message.entries);
      this.#place.advance(message);
    }
    const out = new SpliceWriter({ bytes, splicedBytes: spliced }, framing);
    for (const [i, message] of messages.entries()) {
      if (continues[i] === true) writeEntries(message, out);
      else {
        out.writer.byte(Frame.Message);
        out.uint64BE(Message.size(message));
        writeMessage(message, out);
      }
    }
    return { parts: out.finish(), bytes };
  }

  heartbeat(): Buffer {
    return heartbeat;
  }
}

function entriesSize(entries: readonly Entry[]): number {
  let bytes = 2 * NUMBER_BYTES;
  for (const entry of entries) bytes += NUMBER_BYTES + Entry.size(entry);
  return bytes;
}

function writeEntries({ entries, commit }: Message, out: SpliceWriter): void {
  out.writer.byte(Frame.Entries);
  out.uint64BE(entries.length);
  for (const entry of entries) {
    out.uint64BE(Entry.size(entry));
    writeEntry(entry, out);
  }
  out.uint64BE(commit);
}

/** An append whose entries are being received. */
interface PartialAppend {
  readonly message: Message;
  entriesLeft: number;
  bytes: number;
  /** Length of the next entry; undefined while the length itself is read. */
  nextEntry: number | undefined;
}

export class AppendDecoder implements StreamDecoder {
  readonly #received = new ByteQueue();
  readonly #place = new Place();
  readonly #local: bigint;
  readonly #remote: bigint;
  readonly #maxBytes: number;
  #append: PartialAppend | undefined;
  /** Length of the whole message that is received; undefined if none is. */
  #whole: number | undefined;

  constructor(ends: { local: bigint; remote: bigint }, maxBytes: number = MAX_MESSAGE_BYTES) {
    this.#local = ends.local;
    this.#remote = ends.remote;
    this.#maxBytes = maxBytes;
  }

  decode(bytes: Buffer, messages: Message[]): void {
    this.#received.push(bytes);
    while (this.#step(messages));
  }

  /** Reads one item of the stream. @returns false if it has not arrived completely */
  #step(messages: Message[]): boolean {
    if (this.#append !== undefined) return this.#stepAppend(this.#append, messages);
    if (this.#whole !== undefined) return this.#stepWhole(this.#whole, messages);
    const received = this.#received;
    const type = received.peek();
    if (type === undefined) return false;
    if (type === Frame.Heartbeat) {
      received.take(1);
      return true;
    }
    if (type !== Frame.Entries && type !== Frame.Message)
      throw new StreamFormatError(`a frame of unknown type ${type} in the stream of appends`);
    if (received.length < 1 + NUMBER_BYTES) return false;
    received.take(1);
    const count = received.takeUint64();
    if (type === Frame.Message) this.#whole = this.#bounded(count);
    else this.#append = this.#beginAppend(count);
    return true;
  }

  #bounded(bytes: number): number {
    if (bytes > this.#maxBytes) throw new StreamFormatError(`an append of ${bytes} bytes is too long`);
    return bytes;
  }

  #stepWhole(size: number, messages: Message[]): boolean {
    if (this.#received.length < size) return false;
    this.#whole = undefined;
    const message = Message.decode(this.#received.take(size));
    this.#place.advance(message);
    messages.push(message);
    return true;
  }

  #beginAppend(entriesLeft: number): PartialAppend {
    const { term, index } = this.#place;
    const message = Message.create({
      type: MessageType.MsgApp,
      to: this.#local,
      from: this.#remote,
      term,
      logTerm: term,
      index,
    });
    return { message, entriesLeft, bytes: 0, nextEntry: undefined };
  }

  #stepAppend(append: PartialAppend, messages: Message[]): boolean {
    const received = this.#received;
    const { message } = append;
    if (append.nextEntry !== undefined) {
      if (received.length < append.nextEntry) return false;
      message.entries.push(Entry.decode(received.take(append.nextEntry)));
      append.nextEntry = undefined;
      append.entriesLeft -= 1;
      return true;
    }
    if (received.length < NUMBER_BYTES) return false;
    const value = received.takeUint64();
    if (append.entriesLeft > 0) {
      append.nextEntry = value;
      append.bytes = this.#bounded(append.bytes + value);
      return true;
    }
    message.commit = value;
    this.#place.advance(message);
    this.#append = undefined;
    messages.push(message);
    return true;
  }
}
