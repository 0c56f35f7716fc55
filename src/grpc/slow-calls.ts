/** An ended unary call that took too long. */
export interface SlowCall {
  /** The method as `/package.Service/Method`. */
  readonly path: string;
  /** The client's address. */
  readonly peer: string;
  readonly request: Buffer;
  /** The response; undefined for an error, or if it is too large to keep. */
  readonly response: Buffer | readonly Buffer[] | undefined;
  readonly responseBytes: number;
  /** Milliseconds from the complete request to the response. */
  readonly tookMs: number;
}

/** Receives slow calls, if the server has one. Without it, calls have no extra cost. */
export interface SlowCalls {
  /** Milliseconds; longer calls are reported. */
  readonly thresholdMs: number;
  report(call: SlowCall): void;
}
