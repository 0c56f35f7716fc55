import type { LocalCall, LocalSink } from '../grpc/local-call.ts';
import type { ByteSource } from '../http2/stream.ts';
import type { CoreConnection } from './core-connection.ts';
import type { Link } from './link.ts';
import { ToThread } from './records.ts';

/** Bytes of one message that are on their way to the client's thread. */
const SOURCE_WINDOW_BYTES = 256 * 1024;
const CHUNK_BYTES = 64 * 1024;

/** The other calls of the same serving thread. */
export interface CoreCallOwner {
  readonly link: Link;
  /** Nothing more is sent for the call. */
  done(call: CoreCall): void;
}

/** A call of a serving thread as the core sees it: passes its responses to that thread. */
export class CoreCall implements LocalSink {
  /** Set before anything arrives. */
  call: LocalCall | undefined;
  /** Bytes of messages that the client's connection has not taken. */
  queuedBytes = 0;
  readonly id: number;
  /** See `CallNumbers`. */
  readonly number: number;
  readonly isUnary: boolean;
  readonly #owner: CoreCallOwner;
  readonly #link: Link;
  readonly #connection: CoreConnection;
  #source: ByteSource | undefined;
  #sourceLeft = 0;
  #reportedTaken = 0;
  #requestBytes = 0;
  #ended = false;
  /** A response of one message is sent in one record together with its end. */
  #response: Buffer | readonly Buffer[] | undefined;
  #responseBytes = 0;

  constructor(
    { id, number, isUnary }: Pick<CoreCall, 'id' | 'number' | 'isUnary'>,
    owner: CoreCallOwner,
    connection: CoreConnection,
  ) {
    this.id = id;
    this.number = number;
    this.isUnary = isUnary;
    this.#owner = owner;
    this.#link = owner.link;
    this.#connection = connection;
  }

  message(parts: Buffer | readonly Buffer[], totalBytes: number): void {
    if (this.isUnary) {
      this.#response = parts;
      this.#responseBytes = totalBytes;
      return;
    }
    this.queuedBytes += totalBytes;
    this.#send(ToThread.MESSAGE, parts, totalBytes);
  }

  source(from: ByteSource, totalBytes: number): void {
    this.#source = from;
    this.#sourceLeft = totalBytes;
    this.#link.record(ToThread.SOURCE, this.id).f64(totalBytes);
    this.#pump();
  }

  sourceReady(): void {
    this.#pump();
  }

  /** The handler took requests: the client's thread may send more. */
  consumed(): void {
    const taken = this.#requestBytes - (this.call?.pendingBytes ?? 0);
    const news = taken - this.#reportedTaken;
    if (news <= 0) return;
    this.#reportedTaken = taken;
    this.#link.record(ToThread.TAKEN, this.id).f64(news);
  }

  abort(): void {
    this.#ended = true;
    this.#dropSource();
    this.#link.record(ToThread.ABORT, this.id);
    this.#finish();
  }

  end(code: number, message: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const response = this.#response;
    if (response !== undefined && code === 0) {
      this.#response = undefined;
      this.#send(ToThread.RESPONSE, response, this.#responseBytes);
    } else {
      const out = this.#link.record(ToThread.END, this.id);
      out.u8(code);
      out.text(message);
    }
    this.#finish();
  }

  /** A request message of `bytes`, with its prefix, was passed to the call. */
  receiving(bytes: number): void {
    this.#requestBytes += bytes;
  }

  /** The client's connection took `bytes` of the responses. */
  taken(bytes: number): void {
    this.queuedBytes -= bytes;
    this.#pump();
    this.call?.drained();
  }

  /** The client or its thread has ended the call. */
  drop(): void {
    this.#ended = true;
    this.queuedBytes = 0;
    this.#dropSource();
    this.#finish();
  }

  #pump(): void {
    const source = this.#source;
    if (source === undefined) return;
    while (this.#sourceLeft > 0 && this.queuedBytes < SOURCE_WINDOW_BYTES) {
      const parts = source.read(Math.min(CHUNK_BYTES, this.#sourceLeft));
      // Reading may have found that the response cannot be completed.
      if (parts === undefined || this.#source === undefined) return;
      let bytes = 0;
      for (const part of parts) bytes += part.length;
      this.#sourceLeft -= bytes;
      this.queuedBytes += bytes;
      this.#send(ToThread.CHUNK, parts, bytes);
    }
    if (this.#sourceLeft > 0) return;
    this.#source = undefined;
    this.#finish();
  }

  #send(kind: number, parts: Buffer | readonly Buffer[], bytes: number): void {
    const { account } = this.#connection;
    if (account.isTooMuch) this.#connection.destroy();
    this.#link.record(kind, this.id).bytes(parts, bytes);
    this.#link.hold(account, bytes);
  }

  #dropSource(): void {
    const source = this.#source;
    this.#source = undefined;
    this.#sourceLeft = 0;
    source?.dropped?.();
  }

  #finish(): void {
    if (this.#ended && this.#source === undefined) this.#owner.done(this);
  }
}
