import type { Socket } from 'node:net';
import { ConnectionError } from './constants.ts';
import { FrameReader, type FrameSink, type ReadBudget } from './frame-reader.ts';
import type { SlicedWork, Turns } from './turns.ts';

/** What is read of one connection in a turn as it arrives, in units of a `ReadBudget`: 512 small frames, or 900 KB. */
const SHARE = 512;
/** The same for one slice of what was put off. */
const SLICE = 128;

/**
 * The reading half of a connection. Bytes of the socket become frames as the connection's share of the event loop
 * allows. While some of them wait, the socket is paused, so that the client is slowed down by TCP.
 */
export class SocketInput implements SlicedWork {
  readonly #socket: Socket;
  readonly #reader: FrameReader;
  readonly #turns: Turns;
  readonly #fail: (error: ConnectionError) => void;
  readonly #budget: ReadBudget = { units: SHARE };
  /** The turn that `#budget` is for. */
  #turn = 0;
  /** Bytes not read yet, from `#from` on. */
  #unread: Buffer | undefined;
  #from = 0;
  /** It is in one of the lists of `#turns`. */
  #isListed = false;
  #isHeld = false;
  #stopped = false;

  /** `fail` is told of a fault of the client that ends the connection. */
  constructor(socket: Socket, sink: FrameSink, turns: Turns, fail: (error: ConnectionError) => void) {
    this.#socket = socket;
    this.#reader = new FrameReader(sink);
    this.#turns = turns;
    this.#fail = fail;
  }

  /** Takes bytes that have arrived. */
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
    this.#goOn();
  }

  /** It lists itself again where there is more. */
  slice(): boolean {
    this.#isListed = false;
    if (!this.#isHeld && this.#hasUnread) {
      this.#budget.units = SLICE;
      this.#read();
      this.#goOn();
    }
    return false;
  }

  /** Reads nothing until released: the client does not take its responses. */
  hold(): void {
    this.#isHeld = true;
    this.#socket.pause();
  }

  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#goOn();
  }

  /** Reads nothing more, not even the rest of the bytes being read. */
  stop(): void {
    this.#stopped = true;
    this.#unread = undefined;
    this.#reader.stop();
  }

  get #hasUnread(): boolean {
    return this.#unread !== undefined;
  }

  /** Reads the rest later, or lets the socket bring more. */
  #goOn(): void {
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
