import { connect, type Socket } from 'node:net';
import { FrameFlag, FrameType, PREFACE } from '../../src/http2/constants.ts';
import { RawClient } from '../../src/http2/raw-client.ts';
import type { SeededRandom } from '../../src/lib/seeded-random.ts';
import type { MethodDescriptor } from '../../src/wire/codec.ts';
import type { RandomMessages } from './random-message.ts';
import { framed } from '../harness/grpc-frame.ts';

const MAX_WINDOW = 2 ** 31 - 1;
const { END_HEADERS, END_STREAM, PADDED } = FrameFlag;

/** One connection that sends frames in odd orders on the streams of real calls. It opens again when it is closed. */
export class OddFrames {
  readonly #port: number;
  readonly #random: SeededRandom;
  readonly #messages: RandomMessages;
  readonly #methods: readonly MethodDescriptor[];
  #socket: Socket | undefined;
  #nextId = 1;
  /** Unsent ends of messages, by stream. */
  readonly #rest = new Map<number, Buffer>();
  /** Number of connections, and of frames sent. */
  connections = 0;
  frames = 0;

  constructor(
    port: number,
    random: SeededRandom,
    messages: RandomMessages,
    methods: readonly MethodDescriptor[],
  ) {
    this.#port = port;
    this.#random = random;
    this.#messages = messages;
    this.#methods = methods;
  }

  /** Sends so many frames at once. */
  send(count: number): void {
    const socket = this.#socket ?? this.#open();
    const parts: Buffer[] = [];
    for (let at = 0; at < count; at += 1) parts.push(...this.#some());
    this.frames += parts.length;
    socket.write(Buffer.concat(parts));
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #open(): Socket {
    const socket = connect({ host: '127.0.0.1', port: this.#port });
    this.connections += 1;
    this.#nextId = 1;
    this.#rest.clear();
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.#socket === socket) this.#socket = undefined;
    });
    socket.write(PREFACE);
    socket.write(RawClient.frame(FrameType.SETTINGS, 0, 0, this.#random.chance(0.3) ? this.#setting() : []));
    // Some clients read nothing.
    if (this.#random.chance(0.7)) socket.resume();
    this.#socket = socket;
    return socket;
  }

  /** Most frames are valid, so that a connection lives long enough to reach many states. */
  #some(): Buffer[] {
    const random = this.#random;
    const id = this.#known();
    const end = random.chance(0.5) ? END_STREAM : 0;
    switch (random.int(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return this.#call();
      case 4:
      case 5:
      case 6:
        return this.#more(id, end);
      case 7:
        return [RawClient.frame(FrameType.RST_STREAM, 0, id, uint32(random.int(15)))];
      case 8:
        return [RawClient.frame(FrameType.WINDOW_UPDATE, 0, id, uint32(1 + random.int(100_000)))];
      case 9:
        return [RawClient.frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(1 + random.int(100_000)))];
      case 10:
        return [
          RawClient.frame(FrameType.PRIORITY, 0, id, Buffer.concat([uint32(random.int(50)), Buffer.of(7)])),
        ];
      case 11:
        return [RawClient.frame(FrameType.PING, 0, 0, random.bytes(8))];
      case 12:
        return [RawClient.frame(FrameType.SETTINGS, 0, 0, this.#setting())];
      case 13:
        // Trailers, or a second head of the same stream.
        return [
          RawClient.frame(FrameType.HEADERS, END_HEADERS | END_STREAM, id, RawClient.requestBlock('/x')),
        ];
      default:
        return random.chance(0.05) ? this.#fatal(id) : this.#more(id, 0);
    }
  }

  /** A new call: its head in one or several frames, and none, a part or all of its message. */
  #call(): Buffer[] {
    const random = this.#random;
    const { path, request } = random.pick(this.#methods);
    const id = this.#nextId;
    this.#nextId += 2;
    const extra: [string, string][] = random.chance(0.3) ? [['grpc-timeout', `${random.int(2000)}m`]] : [];
    const block = RawClient.requestBlock(path, extra);
    const cut = random.int(block.length);
    const head = random.chance(0.8)
      ? [RawClient.frame(FrameType.HEADERS, END_HEADERS, id, block)]
      : [
          RawClient.frame(FrameType.HEADERS, 0, id, block.subarray(0, cut)),
          RawClient.frame(FrameType.CONTINUATION, END_HEADERS, id, block.subarray(cut)),
        ];
    this.#rest.set(id, framed(this.#messages.encoded(request.typeName)));
    return random.chance(0.7) ? [...head, ...this.#more(id, random.chance(0.5) ? END_STREAM : 0)] : head;
  }

  /** A part of the stream's message, with or without padding; also after its end. */
  #more(id: number, end: number): Buffer[] {
    const random = this.#random;
    const rest = this.#rest.get(id) ?? random.bytes(random.int(50));
    const size = random.chance(0.6)
      ? Math.min(rest.length, 16_000)
      : random.int(Math.min(rest.length, 16_000) + 1);
    this.#rest.set(id, rest.subarray(size));
    const part = rest.subarray(0, size);
    if (random.chance(0.8)) return [RawClient.frame(FrameType.DATA, end, id, part)];
    const padding = random.int(256);
    const padded = Buffer.concat([Buffer.of(padding), part, Buffer.alloc(padding)]);
    return [RawClient.frame(FrameType.DATA, end | PADDED, id, padded)];
  }

  /** A frame that ends the connection by the protocol, or should. */
  #fatal(id: number): Buffer[] {
    const random = this.#random;
    const next = this.#nextId;
    return random.pick([
      [RawClient.frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(0))],
      [RawClient.frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(MAX_WINDOW))],
      [RawClient.frame(FrameType.WINDOW_UPDATE, 0, id, uint32(0))],
      [RawClient.frame(FrameType.WINDOW_UPDATE, 0, id, uint32(MAX_WINDOW))],
      [RawClient.frame(FrameType.CONTINUATION, END_HEADERS, id, Buffer.alloc(3))],
      // A head that is never continued, with another frame after it.
      [RawClient.frame(FrameType.HEADERS, 0, next, RawClient.requestBlock('/x')), ...this.#more(id, 0)],
      [RawClient.frame(FrameType.GOAWAY, 0, 0, Buffer.alloc(8)), ...this.#call()],
      [RawClient.frame(FrameType.DATA, 0, next + 10, Buffer.alloc(10))],
      [RawClient.frame(FrameType.RST_STREAM, 0, next + 10, uint32(8))],
      [RawClient.frame(FrameType.DATA, PADDED, id, Buffer.of(200, 1))],
      [RawClient.frame(FrameType.HEADERS, END_HEADERS, next + 1, RawClient.requestBlock('/x'))],
      [RawClient.frame(FrameType.PUSH_PROMISE, END_HEADERS, id, Buffer.alloc(20))],
      [
        RawClient.frame(
          random.int(14),
          random.int(256),
          random.chance(0.5) ? 0 : id,
          random.bytes(random.int(60)),
        ),
      ],
    ]);
  }

  #setting(): Buffer {
    const value = this.#random.pick([0, 1, 100, 16_384, 65_535, 100_000, MAX_WINDOW]);
    // Not the window and the frame size, of which some values end the connection, too often.
    const id = this.#random.pick([1, 1, 3, 3, 6, 6, 4, 5, 2, 9]);
    return Buffer.concat([Buffer.of(0, id), uint32(id === 5 ? Math.max(value, 16_384) & 0xff_ffff : value)]);
  }

  /** The stream of an earlier call, which may be in any state; mostly one of the last. */
  #known(): number {
    const last = Math.max(1, this.#nextId - 2);
    const back = 2 * this.#random.int(this.#random.chance(0.8) ? 8 : 1_000);
    return Math.max(1, last - back);
  }
}

/** Four bytes, as in the payload of many frames. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
