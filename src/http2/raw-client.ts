import { connect, type NetConnectOpts, Socket } from 'node:net';
import { EMPTY } from '../wire/reader.ts';
import { ErrorCode, FRAME_HEADER_BYTES, FrameFlag, FrameType, PREFACE } from './constants.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { encodeStatic, type HeaderPair } from './hpack-encoder.ts';

/** A frame received from the server. */
export interface RawFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/**
 * A client for tests that sends exactly the given frames, also invalid ones, and records what it receives. It sends no
 * acknowledgements and no window updates by itself.
 */
export class RawClient {
  readonly socket: Socket;
  readonly frames: RawFrame[] = [];
  closed = false;
  #buffered = EMPTY;
  readonly #decoder = new HpackDecoder({ maxListBytes: 1 << 20, tableBytes: 4096 });
  readonly #headers = new Map<RawFrame, Record<string, string>>();
  #wake: (() => void)[] = [];

  /** @param where the address to connect to, or a connected socket, for example with TLS */
  constructor(where: NetConnectOpts | Socket) {
    this.socket = where instanceof Socket ? where : connect(where);
    this.socket.on('data', (chunk) => this.#onData(chunk));
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.closed = true;
      this.#notify();
    });
  }

  /** Connects and performs the connection preface with empty settings. */
  static async open(where: NetConnectOpts | Socket): Promise<RawClient> {
    const client = new RawClient(where);
    client.socket.write(PREFACE);
    client.send(FrameType.SETTINGS, 0, 0);
    await client.until(() =>
      client.frames.some((f) => f.type === FrameType.SETTINGS && f.flags === FrameFlag.ACK),
    );
    return client;
  }

  send(type: number, flags: number, streamId: number, payload: Buffer | number[] = []): void {
    this.socket.write(RawClient.frame(type, flags, streamId, payload));
  }

  static frame(type: number, flags: number, streamId: number, payload: Buffer | number[] = []): Buffer {
    const header = Buffer.alloc(FRAME_HEADER_BYTES);
    header.writeUIntBE(payload.length, 0, 3);
    header[3] = type;
    header[4] = flags;
    header.writeUInt32BE(streamId, 5);
    return Buffer.concat([header, Buffer.from(payload)]);
  }

  /** HEADERS of a gRPC request. */
  request(
    streamId: number,
    path: string,
    extra: readonly HeaderPair[] = [],
    flags = FrameFlag.END_HEADERS as number,
  ): void {
    this.send(FrameType.HEADERS, flags, streamId, RawClient.requestBlock(path, extra));
  }

  static requestBlock(path: string, extra: readonly HeaderPair[] = []): Buffer {
    return encodeStatic([
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', path],
      [':authority', 'localhost'],
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
      ...extra,
    ]);
  }

  /** A gRPC message in one DATA frame. */
  message(streamId: number, body: Buffer | string, endStream = true): void {
    const bytes = Buffer.from(body);
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(bytes.length, 1);
    this.send(FrameType.DATA, endStream ? FrameFlag.END_STREAM : 0, streamId, Buffer.concat([prefix, bytes]));
  }

  windowUpdate(streamId: number, increment: number): void {
    const payload = Buffer.alloc(4);
    payload.writeUInt32BE(increment);
    this.send(FrameType.WINDOW_UPDATE, 0, streamId, payload);
  }

  rst(streamId: number, code: number = ErrorCode.CANCEL): void {
    const payload = Buffer.alloc(4);
    payload.writeUInt32BE(code);
    this.send(FrameType.RST_STREAM, 0, streamId, payload);
  }

  setting(id: number, value: number): void {
    const payload = Buffer.alloc(6);
    payload.writeUInt16BE(id, 0);
    payload.writeUInt32BE(value, 2);
    this.send(FrameType.SETTINGS, 0, 0, payload);
  }

  /** Waits for a condition on what has been received. Rejects after `timeoutMs`. */
  async until(condition: () => boolean, timeoutMs = 10_000): Promise<void> {
    const end = Date.now() + timeoutMs;
    while (!condition()) {
      const left = end - Date.now();
      if (left <= 0) throw new Error(`condition not met; received ${this.describe()}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  of(type: number, streamId?: number): RawFrame[] {
    return this.frames.filter((f) => f.type === type && (streamId === undefined || f.streamId === streamId));
  }

  /** The header fields of all HEADERS frames of a stream, later ones winning. */
  headers(streamId: number): Record<string, string> {
    return Object.assign(
      {},
      ...this.of(FrameType.HEADERS, streamId).map((f) => this.#headers.get(f) ?? {}),
    ) as Record<string, string>;
  }

  /** The stream's DATA, joined. */
  data(streamId: number): Buffer {
    return Buffer.concat(this.of(FrameType.DATA, streamId).map((f) => f.payload));
  }

  /** Waits for the end of a stream by END_STREAM or RST_STREAM. */
  async ended(streamId: number): Promise<void> {
    await this.until(() =>
      this.frames.some(
        (f) =>
          f.streamId === streamId &&
          (f.type === FrameType.RST_STREAM ||
            ((f.type === FrameType.DATA || f.type === FrameType.HEADERS) &&
              (f.flags & FrameFlag.END_STREAM) !== 0)),
      ),
    );
  }

  /** Waits for GOAWAY (other than of a graceful stop) and returns its code and text. */
  async goAway(): Promise<{ code: number; lastStreamId: number; text: string }> {
    await this.until(() => this.of(FrameType.GOAWAY).length > 0);
    const { payload } = this.of(FrameType.GOAWAY).at(-1) as RawFrame;
    return {
      lastStreamId: payload.readUInt32BE(0),
      code: payload.readUInt32BE(4),
      text: payload.toString('latin1', 8),
    };
  }

  resetCode(streamId: number): number | undefined {
    return this.of(FrameType.RST_STREAM, streamId)[0]?.payload.readUInt32BE(0);
  }

  describe(): string {
    const names = Object.entries(FrameType);
    return this.frames
      .map(
        (f) =>
          `${names.find(([, n]) => n === f.type)?.[0] ?? f.type}(${f.streamId}, ${f.flags}, ${f.payload.length})`,
      )
      .join(' ');
  }

  close(): void {
    this.socket.destroy();
  }

  #onData(chunk: Buffer): void {
    this.#buffered = Buffer.concat([this.#buffered, chunk]);
    while (this.#buffered.length >= FRAME_HEADER_BYTES) {
      const length = this.#buffered.readUIntBE(0, 3);
      if (this.#buffered.length < FRAME_HEADER_BYTES + length) break;
      const frame: RawFrame = {
        type: this.#buffered.readUInt8(3),
        flags: this.#buffered.readUInt8(4),
        streamId: this.#buffered.readUInt32BE(5),
        payload: Buffer.from(this.#buffered.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + length)),
      };
      this.#buffered = this.#buffered.subarray(FRAME_HEADER_BYTES + length);
      this.frames.push(frame);
      if (frame.type === FrameType.HEADERS && (frame.flags & FrameFlag.END_HEADERS) !== 0) {
        this.#decoder.decode(frame.payload, 0, frame.payload.length);
        this.#headers.set(frame, Object.fromEntries(this.#decoder.fields.map((f) => [f.name, f.value])));
      }
    }
    this.#notify();
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const each of wake) each();
  }
}
