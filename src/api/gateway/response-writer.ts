/** Writes the response text, to an HTTP response or to a WebSocket. */
export interface ResponseWriter {
  /** Bytes written that the client has not read. */
  readonly queuedBytes: number;
  /** Writes a part of a message's text. The last part ends the message. */
  write(text: string, isLast: boolean): void;
  /** Ends the response without an error. */
  end(): void;
  /** Ends with an error: as the last line of a stream, or in place of the response. */
  fail(code: number, message: string): void;
  /** Ends with an error of the request. In a stream, some requests may have been answered before. */
  refuse(code: number, message: string): void;
  /** Closes the connection, for a response that cannot be completed. */
  destroy(): void;
}

/** No more text is made while this many bytes wait for the client. */
export const HIGH_WATER_BYTES = 256 * 1024;
