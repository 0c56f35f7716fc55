import type { Call } from './call.ts';

/** Observes one call. */
export interface CallObserver {
  /** A request message of a stream, before its handler sees it. */
  received(message: Buffer): void;
  /** A response message. */
  responded(parts: Buffer | readonly Buffer[]): void;
  /** The call has ended, with this code. */
  ended(code: number): void;
}

/** Called for each call if the server has one. Without it, calls have no extra cost. */
export interface CallWatcher {
  /** @param request the message of a unary call; messages of a stream are passed to the observer */
  observe(path: string, call: Call, request: Buffer | undefined): CallObserver | undefined;
}
