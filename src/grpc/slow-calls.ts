/** A unary call that took longer than wanted, once it has ended. */
export interface SlowCall {
  /** As `/package.Service/Method`. */
  readonly path: string;
  /** The client's address. */
  readonly peer: string;
  readonly request: Buffer;
  /** What was answered; undefined for an error, or for an answer too large to be held. */
  readonly response: Buffer | readonly Buffer[] | undefined;
  readonly responseBytes: number;
  /** From the whole request to the answer, in milliseconds. */
  readonly tookMs: number;
}

/** Told of slow calls, where one is given to the server; without one, calls cost nothing more. */
export interface SlowCalls {
  /** Milliseconds; longer calls are reported. */
  readonly thresholdMs: number;
  report(call: SlowCall): void;
}
