import type { Socket } from 'node:net';
import { defined } from '../lib/assert.ts';
import type { Message } from '../wire/gen/raftpb.ts';
import { HEARTBEAT_INTERVAL_MS } from './context.ts';
import type { PeerStatus } from './peer-status.ts';
import type { StreamEnd } from './stream-end.ts';
import { type StreamEncoder, type StreamKind, streamEncoder } from './stream-codec.ts';

/** Maximum number of messages that wait for the socket. Further ones are lost. */
const MAX_WAITING = 4096;

/**
 * Bytes of entry data that are encoded at once. Waiting messages are not encoded, and share their data with the log.
 */
const SLICE_BYTES = 1024 * 1024;

export interface StreamWriterOptions {
  readonly kind: StreamKind;
  readonly status: PeerStatus;
  /** Milliseconds without progress after which the stream is closed. */
  readonly writeTimeoutMs: number;
  /** Called when accepted messages may be lost. */
  readonly lost: () => void;
  readonly ended: (end: StreamEnd) => void;
}

/**
 * Sends on a stream that the other side requested with a GET. The stream is the body of the response, and never ends.
 * Its chunks are written directly to the socket, one for each batch, so that large entries are not copied.
 */
export class StreamWriter {
  readonly #options: StreamWriterOptions;
  #socket: Socket | undefined;
  #encoder: StreamEncoder | undefined;
  #waiting: Message[] = [];
  #heartbeat: NodeJS.Timeout | undefined;
  /** Bytes that the socket had written at the last heartbeat, and the time without progress since. */
  #passedOn = 0;
  #stalledMs = 0;

  constructor(options: StreamWriterOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#socket !== undefined;
  }

  /** Takes over the socket of a response whose headers were sent. Replaces an existing stream. */
  attach(socket: Socket): void {
    this.close();
    this.#socket = socket;
    this.#encoder = streamEncoder(this.#options.kind);
    this.#passedOn = 0;
    this.#stalledMs = 0;
    const ended = (reason: string): void => {
      if (this.#socket === socket) this.#drop({ wasOpen: true, cause: 'closed-by-remote', reason });
    };
    socket.on('end', () => ended('closed by the peer'));
    socket.on('error', (error) => ended(error.message));
    socket.on('close', () => ended('closed'));
    socket.on('drain', () => {
      if (this.#socket === socket) this.flush();
    });
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_INTERVAL_MS);
  }

  /** Queues a message for the next `flush`. @returns false if it is lost */
  push(message: Message): boolean {
    if (this.#waiting.length >= MAX_WAITING) return false;
    this.#waiting.push(message);
    return true;
  }

  /** Writes queued messages as far as the socket accepts them. The rest follows later. */
  flush(): void {
    const socket = this.#socket;
    const encoder = this.#encoder;
    if (socket === undefined || encoder === undefined) return;
    while (this.#waiting.length > 0 && !socket.writableNeedDrain) {
      const { parts, bytes } = encoder.encode(this.#takeSlice(), 'chunk');
      this.#write(socket, parts, bytes);
    }
  }

  close(): void {
    if (this.#socket !== undefined) this.#drop({ wasOpen: true, cause: 'other', reason: 'closed' });
  }

  #takeSlice(): Message[] {
    const waiting = this.#waiting;
    let bytes = 0;
    let count = 0;
    for (const { entries } of waiting) {
      count += 1;
      for (const { data } of entries) bytes += data?.length ?? 0;
      if (bytes >= SLICE_BYTES) break;
    }
    if (count === waiting.length) {
      this.#waiting = [];
      return waiting;
    }
    return waiting.splice(0, count);
  }

  #write(socket: Socket, parts: readonly Buffer[], bytes: number): void {
    const [first] = parts;
    if (parts.length === 1 && first !== undefined) socket.write(first);
    else {
      socket.cork();
      for (const part of parts) socket.write(part);
      socket.uncork();
    }
    this.#options.status.sentBytes += bytes;
  }

  #beat(): void {
    const socket = defined(this.#socket, 'an open stream has a socket');
    if (this.#hasStalled(socket)) {
      this.#options.status.sentFailures += 1;
      const reason = `nothing could be written for ${this.#options.writeTimeoutMs} ms`;
      this.#drop({ wasOpen: true, cause: 'silence', reason });
      return;
    }
    if (socket.writableLength > 0 || this.#waiting.length > 0) return;
    const beat = defined(this.#encoder, 'an open stream has an encoder').heartbeat();
    this.#write(
      socket,
      [Buffer.from(`${beat.length.toString(16)}\r\n`), beat, Buffer.from('\r\n')],
      beat.length,
    );
  }

  #hasStalled(socket: Socket): boolean {
    const passedOn = socket.bytesWritten - socket.writableLength;
    if (socket.writableLength === 0 || passedOn > this.#passedOn) this.#stalledMs = 0;
    else this.#stalledMs += HEARTBEAT_INTERVAL_MS;
    this.#passedOn = passedOn;
    return this.#stalledMs >= this.#options.writeTimeoutMs;
  }

  #drop(end: StreamEnd): void {
    const socket = defined(this.#socket, 'an open stream has a socket');
    clearInterval(this.#heartbeat);
    this.#socket = undefined;
    this.#encoder = undefined;
    const hadUnsent = this.#waiting.length > 0 || socket.writableLength > 0;
    this.#waiting = [];
    socket.destroy();
    if (hadUnsent) this.#options.lost();
    this.#options.ended(end);
  }
}
