import type { Call } from './call.ts';

export type TraceAttributes = Readonly<Record<string, string | number | bigint | boolean>>;

/** A part of a traced call. */
export interface TracedOperation {
  end(): void;
}

/** The trace of one call that is sampled. */
export interface CallTrace {
  /** Starts an operation of the call. It ends with the call at the latest. */
  begin(name: string, attributes: TraceAttributes): TracedOperation;
  /** Adds an event to the operation that began last, or to the call. */
  event(name: string): void;
  /** The operation failed. */
  failed(error: Error): void;
  /** The call has ended, with this gRPC code and text. Only the first end counts. */
  ended(code: number, message: string): void;
}

/** Called for each call if the server has one. Without it, calls have no extra cost. */
export interface CallTracer {
  /** Undefined if the call is not sampled. */
  trace(path: string, call: Call): CallTrace | undefined;
}
