import type { Socket } from 'node:net';
import { EMPTY } from '../wire/reader.ts';
import { FRAME_HEADER_BYTES, FrameFlag, FrameType } from './constants.ts';

const CHUNK_BYTES = 32 * 1024;
/** Payloads up to this size are copied next to their frame header. Longer ones are written by reference. */
const COPY_LIMIT_BYTES = 4096;
const POOLED_CHUNKS = 64;

/** Chunks shared by all connections. A connection uses one only while its bytes wait for the socket. */
const pool: Buffer[] = [];

/**
 * Gathers the frames of one connection until `flush` writes them to the socket at once. Small frames are copied into
 * one chunk of memory; large payloads are passed by reference.
 */
export class FrameWriter {
  /** Bytes gathered and not yet flushed. */
  pendingBytes = 0;
  /** The peer's SETTINGS_MAX_FRAME_SIZE. */
  maxFrameBytes = 16_384;

  #chunk: Buffer = EMPTY;
  /** Start and end of the bytes in `#chunk` that are in no segment yet. */
  #start = 0;
  #end = 0;
  #segments: Buffer[] = [];
  /** Chunks to return to the pool when the socket has written all of their bytes. */
  #filledChunks: Buffer[] = [];

  /** A HEADERS frame, with CONTINUATION frames if the peer's frame size requires them. */
  headers(streamId: number, block: Buffer, endStream: boolean): void {
    const most = this.maxFrameBytes;
    const flags = endStream ? FrameFlag.END_STREAM : 0;
    if (block.length <= most) {
      this.#frame(block.length, FrameType.HEADERS, flags | FrameFlag.END_HEADERS, streamId);
      this.bytes(block);
      return;
    }
    this.#frame(most, FrameType.HEADERS, flags, streamId);
    this.bytes(block.subarray(0, most));
    for (let from = most; from < block.length; from += most) {
      const to = Math.min(from + most, block.length);
      this.#frame(
        to - from,
        FrameType.CONTINUATION,
        to === block.length ? FrameFlag.END_HEADERS : 0,
        streamId,
      );
      this.bytes(block.subarray(from, to));
    }
  }

  /** The header of a DATA frame; the caller appends exactly `length` bytes with `bytes` and `messagePrefix`. */
  dataHeader(streamId: number, length: number, endStream: boolean): void {
    this.#frame(length, FrameType.DATA, endStream ? FrameFlag.END_STREAM : 0, streamId);
  }

  /** The five bytes before each gRPC message: a compression flag and the length. */
  messagePrefix(compressed: boolean, length: number): void {
    this.#ensure(5);
    const chunk = this.#chunk;
    const at = this.#end;
    chunk[at] = compressed ? 1 : 0;
    chunk[at + 1] = length >>> 24;
    chunk[at + 2] = length >>> 16;
    chunk[at + 3] = length >>> 8;
    chunk[at + 4] = length;
    this.#advance(5);
  }

  /** Payload bytes. Those over the copy limit must not change until they are sent. */
  bytes(payload: Buffer): void {
    const length = payload.length;
    if (length > COPY_LIMIT_BYTES) {
      this.#seal();
      this.#segments.push(payload);
      this.pendingBytes += length;
      return;
    }
    this.#ensure(length);
    if (length <= 32) {
      const chunk = this.#chunk;
      let at = this.#end;
      for (let i = 0; i < length; i++) chunk[at++] = payload[i] as number;
    } else {
      this.#chunk.set(payload, this.#end);
    }
    this.#advance(length);
  }

  rstStream(streamId: number, code: number): void {
    this.#frame(4, FrameType.RST_STREAM, 0, streamId);
    this.#uint32(code);
  }

  windowUpdate(streamId: number, increment: number): void {
    this.#frame(4, FrameType.WINDOW_UPDATE, 0, streamId);
    this.#uint32(increment);
  }

  /** `source[start..start + 8)` is the opaque data. */
  ping(ack: boolean, source: Buffer, start: number): void {
    this.#frame(8, FrameType.PING, ack ? FrameFlag.ACK : 0, 0);
    this.bytes(source.subarray(start, start + 8));
  }

  settings(entries: readonly (readonly [id: number, value: number])[]): void {
    this.#frame(entries.length * 6, FrameType.SETTINGS, 0, 0);
    for (const [id, value] of entries) {
      this.#ensure(2);
      this.#chunk.writeUInt16BE(id, this.#end);
      this.#advance(2);
      this.#uint32(value);
    }
  }

  settingsAck(): void {
    this.#frame(0, FrameType.SETTINGS, FrameFlag.ACK, 0);
  }

  goAway(lastStreamId: number, code: number, debugData: string): void {
    const debug = Buffer.from(debugData, 'latin1');
    this.#frame(8 + debug.length, FrameType.GOAWAY, 0, 0);
    this.#uint32(lastStreamId);
    this.#uint32(code);
    this.bytes(debug);
  }

  /** Writes all gathered frames to the socket at once. */
  flush(socket: Socket): void {
    if (this.pendingBytes === 0) return;
    this.pendingBytes = 0;
    if (this.#segments.length === 0) {
      socket.write(this.#chunk.subarray(this.#start, this.#end));
      this.#start = this.#end;
    } else {
      this.#seal();
      const segments = this.#segments;
      this.#segments = [];
      socket.cork();
      for (const segment of segments) socket.write(segment);
      socket.uncork();
    }
    // If the socket has no pending bytes, the kernel has all of them (or TLS has copied them), and the memory can be
    // reused.
    if (socket.writableLength === 0) this.#reclaim();
    else this.#filledChunks.length = 0;
  }

  /** Drops the gathered frames, for a closed connection. */
  discard(): void {
    this.pendingBytes = 0;
    this.#segments = [];
    this.#reclaim();
  }

  #reclaim(): void {
    for (const chunk of this.#filledChunks) if (pool.length < POOLED_CHUNKS) pool.push(chunk);
    this.#filledChunks.length = 0;
    if (this.#chunk.length > 0 && pool.length < POOLED_CHUNKS) pool.push(this.#chunk);
    this.#chunk = EMPTY;
    this.#start = 0;
    this.#end = 0;
  }

  #frame(length: number, type: number, flags: number, streamId: number): void {
    this.#ensure(FRAME_HEADER_BYTES);
    const chunk = this.#chunk;
    const at = this.#end;
    chunk[at] = length >>> 16;
    chunk[at + 1] = length >>> 8;
    chunk[at + 2] = length;
    chunk[at + 3] = type;
    chunk[at + 4] = flags;
    chunk[at + 5] = streamId >>> 24;
    chunk[at + 6] = streamId >>> 16;
    chunk[at + 7] = streamId >>> 8;
    chunk[at + 8] = streamId;
    this.#advance(FRAME_HEADER_BYTES);
  }

  #uint32(value: number): void {
    this.#ensure(4);
    this.#chunk.writeUInt32BE(value, this.#end);
    this.#advance(4);
  }

  #advance(bytes: number): void {
    this.#end += bytes;
    this.pendingBytes += bytes;
  }

  #ensure(bytes: number): void {
    if (this.#end + bytes <= this.#chunk.length) return;
    this.#seal();
    if (this.#chunk.length > 0) this.#filledChunks.push(this.#chunk);
    this.#chunk = pool.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
    this.#start = 0;
    this.#end = 0;
  }

  /** Makes the open bytes of the chunk a segment, so that a payload by reference may follow them. */
  #seal(): void {
    if (this.#end === this.#start) return;
    this.#segments.push(this.#chunk.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }
}
