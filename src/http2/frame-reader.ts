import { EMPTY } from '../wire/reader.ts';
import { ConnectionError, DEFAULT_MAX_FRAME, ErrorCode, FRAME_HEADER_BYTES } from './constants.ts';

/** Receives complete frames: the payload is `source[start..end)`, and its memory may be kept. */
export interface FrameSink {
  onFrame(type: number, flags: number, streamId: number, source: Buffer, start: number, end: number): void;
}

/** How much may still be read. A frame costs one unit, and one more for every two kilobytes of payload. */
export interface ReadBudget {
  units: number;
}
const BYTES_A_UNIT_LOG2 = 11;

/**
 * Splits the bytes of a socket into frames. A frame that is complete in one chunk is delivered without a copy. A frame
 * that spans chunks is copied once, into memory of its own.
 */
export class FrameReader {
  readonly #sink: FrameSink;
  /** The frame being assembled: first only its header, then all of it. */
  #partial: Buffer = EMPTY;
  #filled = 0;
  #stopped = false;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Delivers no further frame, even from the current chunk. */
  stop(): void {
    this.#stopped = true;
    this.#partial = EMPTY;
    this.#filled = 0;
  }

  /**
   * Reads `chunk` from offset `from` to its end, or until the budget is spent. Returns the offset where reading must
   * resume: `chunk.length` when all is read.
   *
   * @throws ConnectionError FRAME_SIZE_ERROR for a frame longer than the announced maximum, and errors of the sink
   */
  read(chunk: Buffer, from: number, budget: ReadBudget): number {
    let position = from;
    if (this.#filled > 0) {
      position = this.#fillPartial(chunk, from);
      if (position < 0) return chunk.length;
    }
    const end = chunk.length;
    while (end - position >= FRAME_HEADER_BYTES && !this.#stopped) {
      if (budget.units <= 0) return position;
      const lengthAndType = chunk.readUInt32BE(position);
      const length = lengthAndType >>> 8;
      if (length > DEFAULT_MAX_FRAME) throw tooLong(length);
      const payload = position + FRAME_HEADER_BYTES;
      if (end - payload < length) break;
      position = payload + length;
      budget.units -= 1 + (length >>> BYTES_A_UNIT_LOG2);
      this.#sink.onFrame(
        lengthAndType & 0xff,
        chunk[payload - 5] as number,
        chunk.readUInt32BE(payload - 4) & 0x7fffffff,
        chunk,
        payload,
        position,
      );
    }
    if (position < end && !this.#stopped) this.#keep(chunk, position);
    return end;
  }

  /** Starts assembling a frame of which `chunk` has only the beginning. */
  #keep(chunk: Buffer, position: number): void {
    const available = chunk.length - position;
    const size =
      available >= FRAME_HEADER_BYTES
        ? FRAME_HEADER_BYTES + (chunk.readUInt32BE(position) >>> 8)
        : FRAME_HEADER_BYTES;
    this.#partial = Buffer.allocUnsafe(size);
    chunk.copy(this.#partial, 0, position);
    this.#filled = available;
  }

  /** Adds to the frame being assembled. Returns where in `chunk` the next frame starts, or -1 if it is used up. */
  #fillPartial(chunk: Buffer, from: number): number {
    let position = from;
    if (this.#filled < FRAME_HEADER_BYTES) {
      position = this.#take(chunk, from, FRAME_HEADER_BYTES);
      if (this.#filled < FRAME_HEADER_BYTES) return -1;
    }
    const length = this.#partial.readUInt32BE(0) >>> 8;
    if (length > DEFAULT_MAX_FRAME) throw tooLong(length);
    const size = FRAME_HEADER_BYTES + length;
    if (this.#partial.length < size) {
      const whole = Buffer.allocUnsafe(size);
      this.#partial.copy(whole, 0, 0, FRAME_HEADER_BYTES);
      this.#partial = whole;
    }
    position = this.#take(chunk, position, size);
    if (this.#filled < size) return -1;
    const frame = this.#partial;
    this.#partial = EMPTY;
    this.#filled = 0;
    this.#sink.onFrame(
      frame[3] as number,
      frame[4] as number,
      frame.readUInt32BE(5) & 0x7fffffff,
      frame,
      FRAME_HEADER_BYTES,
      size,
    );
    return this.#stopped ? -1 : position;
  }

  #take(chunk: Buffer, position: number, upTo: number): number {
    const taken = Math.min(upTo - this.#filled, chunk.length - position);
    chunk.copy(this.#partial, this.#filled, position, position + taken);
    this.#filled += taken;
    return position + taken;
  }
}

function tooLong(length: number): ConnectionError {
  return new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `frame of ${length} bytes`);
}
