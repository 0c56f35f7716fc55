/**
 * The records between a serving thread and the core thread. Each starts with its kind (u8) and the number of its call or
 * connection (u32), which the serving thread chooses. The fields after these are listed here.
 */

/** In both directions: batches that were read since the last such record: u32. The number before it is 0. */
export const PROCESSED = 0;

/** From a serving thread to the core. */
export const ToCore = {
  /** A connection that calls follow on: text, the client as JSON. */
  CONNECTION: 1,
  /** The connection is closed. Its calls were ended before. */
  CONNECTION_CLOSED: 2,
  /** The headers of the connection's calls from now on: text, JSON. */
  HEAD: 3,
  /** A unary call: u32 connection, u32 method, bytes message. */
  UNARY: 4,
  /** A streaming call: u32 connection, u32 method. */
  STREAM: 5,
  /** A message of a stream: bytes framed message. */
  MESSAGE: 6,
  /** The client has sent all messages. */
  HALF_CLOSE: 7,
  /** The call ended before its handler ended it: u8 code, u8 index in `REASONS`. */
  ENDED: 8,
  /** Bytes of responses that the client's connection took: f64. */
  TAKEN: 9,
  /** A connection with HTTP/1.1: text, the client as JSON. */
  HTTP: 10,
  /** Bytes of such a connection: bytes. */
  HTTP_DATA: 11,
  /** The client has sent all bytes. */
  HTTP_END: 12,
  HTTP_CLOSED: 13,
  /** Bytes that the socket took: f64. */
  HTTP_TAKEN: 14,
  /** The number is that of a group of reads, which wait for the core's consent: u8 whether they are linearizable. */
  READ: 15,
  /**
   * A read of such a group has ended. The number is that of its connection: u8 code, f64 milliseconds, f64 milliseconds
   * of the look-up or -1, u32 bytes of the request, f64 bytes of the response or -1.
   */
  READ_ENDED: 16,
  /** Such a read took long: text, `SlowRead` as JSON. */
  READ_SLOW: 17,
} as const;

/** From the core to a serving thread. */
export const ToThread = {
  /** The response of a unary call, which ends it with OK: bytes. */
  RESPONSE: 1,
  /** The end of a call: u8 code, text. */
  END: 2,
  /** A message of a stream: bytes. */
  MESSAGE: 3,
  /** A message that follows in chunks: f64 bytes in all. */
  SOURCE: 4,
  /** Bytes of that message. */
  CHUNK: 5,
  /** A started response cannot be completed. */
  ABORT: 6,
  /** Bytes of requests that the handler took: f64. */
  TAKEN: 7,
  /** The connection must be closed at once. */
  CLOSE: 8,
  HTTP_DATA: 9,
  HTTP_END: 10,
  /** u8 whether written bytes are sent first. */
  HTTP_CLOSE: 11,
  /** Bytes that the HTTP server took: f64. */
  HTTP_TAKEN: 12,
  /** The reads of a group can be answered from the store: f64 term of raft. */
  READ_NOW: 13,
  /** The calls of a group must be forwarded. */
  READ_FORWARD: 14,
  /** The calls of a group have failed: u8 code, text. */
  READ_FAILED: 15,
} as const;

export const REASONS = ['deadline', 'reset', 'fault'] as const;

/** The headers that the calls of a connection have in common. Mostly all calls of a connection have the same. */
export interface CallHeaders {
  readonly authority: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
}
