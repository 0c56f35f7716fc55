import { ConnectionError, ErrorCode, FrameFlag, MAX_STREAM_ID } from './constants.ts';

/** Position of the data in a payload, without padding and priority. One object is reused for all frames. */
export interface PayloadBounds {
  from: number;
  to: number;
  /** Whether HEADERS make the stream depend on itself, which is a stream error. */
  selfDependent: boolean;
}

/** @throws ConnectionError for padding that does not fit its frame */
export function boundData(
  out: PayloadBounds,
  flags: number,
  source: Buffer,
  start: number,
  end: number,
): void {
  out.from = start;
  out.to = end;
  if ((flags & FrameFlag.PADDED) === 0) return;
  if (start === end) throw frameSizeError('padded DATA without padding length');
  const padding = source[start] as number;
  if (padding >= end - start) throw paddingError();
  out.from = start + 1;
  out.to = end - padding;
}

/** @throws ConnectionError for padding or priority that does not fit its frame */
export function boundHeaders(
  out: PayloadBounds,
  frame: { flags: number; streamId: number },
  source: Buffer,
  start: number,
  end: number,
): void {
  const { flags } = frame;
  out.from = start;
  out.to = end;
  out.selfDependent = false;
  if ((flags & FrameFlag.PADDED) !== 0) {
    if (start === end) throw frameSizeError('padded HEADERS without padding length');
    out.to -= source[start] as number;
    out.from++;
  }
  if ((flags & FrameFlag.PRIORITY) !== 0) {
    if (end - out.from < 5) throw frameSizeError('HEADERS too short for its priority');
    out.selfDependent = (source.readUInt32BE(out.from) & MAX_STREAM_ID) === frame.streamId;
    out.from += 5;
  }
  if (out.from > out.to) throw paddingError();
}

function frameSizeError(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, message);
}

function paddingError(): ConnectionError {
  return new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'padding longer than its frame');
}
