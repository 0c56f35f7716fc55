import type { ErrorCode } from '../http2/constants.ts';
import type { ByteSource, ResponseShape, StreamConnection, StreamEnd } from '../http2/stream.ts';

/** The stream of a call: an HTTP/2 stream, or that of a call made inside the process. */
export interface CallStream {
  /** Undefined for a call made inside the process. */
  readonly connection: StreamConnection | undefined;
  readonly authority: string;
  readonly headersSent: boolean;
  /** Bytes that the client may send before more is granted. */
  readonly receiveWindow: number;
  /** Bytes of messages that are queued. */
  readonly queuedBytes: number;
  sendHeaders(headers: number | Buffer): void;
  sendHeadersOnly(headers: Buffer): void;
  respond(shape: ResponseShape, parts: Buffer | readonly Buffer[], messageBytes: number): void;
  sendMessage(parts: Buffer | readonly Buffer[], messageBytes: number): void;
  write(parts: Buffer | readonly Buffer[]): void;
  writeSource(source: ByteSource, totalBytes: number): void;
  sourceReady(): void;
  wantDrain(): void;
  grant(bytes: number): void;
  consume(bytes: number, taken?: number): void;
  end(end: StreamEnd): void;
  reset(code: ErrorCode): void;
}
