import type { Socket } from 'node:net';
import { ConnectionError } from './constants.ts';
import { FrameReader, type FrameSink, type ReadBudget } from './frame-reader.ts';
import type { SlicedWork, Turns } from './turns.ts';

/**
 * How much of one connection is read in a turn when it arrives, in units of a `ReadBudget`: 512 small frames, or 900
 * KB.
 */
const SHARE = 512;
/** The same for one slice of deferred reading. */
const SLICE = 128;

/**
 * The reading half of a connection. It reads frames from the bytes of the socket within the connection's share of the
 * event loop. While bytes wait, the socket is paused, so that TCP slows the client down.
 */
export class SocketInput implements SlicedWork {
  readonly #socket: Socket;
  readonly #reader: FrameReader;
  readonly #turns: Turns;
  readonly #fail: (error: ConnectionError) => void;
  readonly #budget: ReadBudget = { units: SHARE };
  /** The turn to which `#budget` applies. */
  #turn = 0;
  /** Bytes that are not read yet, starting at `#from`. */
  #unread: Buffer | undefined;
  #from = 0;
  /** Whether it is in one of the lists of `#turns`. */
  #isListed = false;
  #isHeld = false;
  #stopped = false;

  /** `fail` is called for an error of the client that closes the connection. */
  constructor(socket: Socket, sink: FrameSink, turns: Turns, fail: (error: ConnectionError) => void) {
    this.#socket = socket;
    this.#reader = new FrameReader(sink);
    this.#turns = turns;
    this.#fail = fail;
  }

  /** Takes received bytes. */
  push(chunk: Buffer): void {
    if (this.#stopped) return;
    if (this.#unread !== undefined) {
      this.#unread = Buffer.concat([this.#unread.subarray(this.#from), chunk]);
      this.#from = 0;
      return;
    }
    this.#unread = chunk;
    this.#from = 0;
    if (this.#isHeld) {
      this.#socket.pause();
      return;
    }
    if (!this.#turns.hasTime) {
      this.#socket.pause();
      this.#isListed = true;
      this.#turns.addFirst(this);
      return;
    }
    if (this.#turn !== this.#turns.turn) {
      this.#turn = this.#turns.turn;
      this.#budget.units = SHARE;
    }
    this.#read();
    if (!this.#hasUnread) return;
    this.#socket.pause();
    this.#resume();
  }

  /** It adds itself to the list again if there is more. */
  slice(): boolean {
    this.#isListed = false;
    if (!this.#isHeld && this.#hasUnread) {
      this.#budget.units = SLICE;
      this.#read();
      this.#resume();
    }
    return false;
  }

  /** Pauses reading until `release`, since the client does not read its responses. */
  hold(): void {
    this.#isHeld = true;
    this.#socket.pause();
  }

  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#resume();
  }

  /** Stops reading, even the rest of the current bytes. */
  stop(): void {
    this.#stopped = true;
    this.#unread = undefined;
    this.#reader.stop();
  }

  get #hasUnread(): boolean {
    return this.#unread !== undefined;
  }

  /** Reads the rest later, or resumes the socket. */
  #resume(): void {
    if (this.#stopped || this.#isHeld) return;
    if (!this.#hasUnread) this.#socket.resume();
    else if (!this.#isListed) this.#list();
  }

  #list(): void {
    this.#isListed = true;
    this.#turns.addLater(this);
  }

  #read(): void {
    const chunk = this.#unread;
    if (chunk === undefined) return;
    try {
      const position = this.#reader.read(chunk, this.#from, this.#budget);
      this.#from = position;
      if (position >= chunk.length) this.#unread = undefined;
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      this.#fail(error);
    }
  }
}
