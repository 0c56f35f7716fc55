import type { ErrorCode } from '../http2/constants.ts';
import type { ByteSource, ResponseShape, StreamConnection, StreamEnd } from '../http2/stream.ts';

/** What a call needs of the stream it answers on: one of HTTP/2, or of a call made inside the process. */
export interface CallStream {
  /** Undefined for a call made inside the process. */
  readonly connection: StreamConnection | undefined;
  readonly authority: string;
  readonly headersSent: boolean;
  /** Bytes the client may send before more is granted. */
  readonly receiveWindow: number;
  /** Bytes of messages that have not been taken yet. */
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
