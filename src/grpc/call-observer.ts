import type { Call } from './call.ts';

/** Sees what becomes of one call. */
export interface CallObserver {
  /** A request message of a stream, before its handler sees it. */
  received(message: Buffer): void;
  /** A response message. */
  responded(parts: Buffer | readonly Buffer[]): void;
  /** The call has ended, with this code. */
  ended(code: number): void;
}

/** Asked about each call where one is given to the server; without one, calls cost nothing more. */
export interface CallWatcher {
  /** @param request the message of a unary call; a stream's come to the observer */
  observe(path: string, call: Call, request: Buffer | undefined): CallObserver | undefined;
}
