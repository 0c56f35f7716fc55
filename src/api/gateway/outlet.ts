/** Where the text of responses goes: an HTTP response or a WebSocket. */
export interface Outlet {
  /** Bytes taken that the client has not. */
  readonly queuedBytes: number;
  /** A part of a message's text; the last part ends the message. */
  write(text: string, isLast: boolean): void;
  /** Ends the responses in good order. */
  end(): void;
  /** Ends with an error: of a stream, or of the method in place of its response. */
  fail(code: number, message: string): void;
  /** Ends with what is wrong with a request; of a stream some may have been answered before. */
  refuse(code: number, message: string): void;
  /** Cuts off what cannot be completed. */
  destroy(): void;
}

/** Bytes that wait for the client at which no more text is made. */
export const OUTLET_HIGH_WATER_BYTES = 256 * 1024;
