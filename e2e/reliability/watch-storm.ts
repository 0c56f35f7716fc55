import { connect, type Socket } from 'node:net';
import { FRAME_HEADER_BYTES, FrameFlag, FrameType, PREFACE } from '../../src/http2/constants.ts';
import { RawClient } from '../../src/http2/raw-client.ts';
import { uint32 } from './odd-frames.ts';
import type { SeededRandom } from '../../src/lib/seeded-random.ts';
import {
  WatchCancelRequest,
  WatchCreateRequest,
  type WatchCreateRequestFilterType,
  WatchProgressRequest,
  WatchRequest,
} from '../../src/wire/gen/etcdserverpb.ts';
import { Watch } from '../../src/wire/services.ts';
import { framed } from '../harness/grpc-frame.ts';

const STREAM = 1;
/** The client allows the server to send so much; one that reads allows more as it reads. */
const WINDOW_BYTES = 1 << 20;
/** Keys that the watches watch: `/storm/0` and so on. */
export const STORM_KEYS = 50;

/** One watch stream that creates and cancels watches, and asks for their progress, at random and very often. */
export class WatchStorm {
  readonly #random: SeededRandom;
  readonly #socket: Socket;
  readonly #isReader: boolean;
  #input: Buffer = Buffer.alloc(0);
  #unacknowledged = 0;
  sent = 0;
  receivedBytes = 0;
  isClosed = false;

  /** @param isReader whether it reads what it gets; otherwise it stops after a while */
  constructor(port: number, random: SeededRandom, isReader: boolean) {
    this.#random = random;
    this.#isReader = isReader;
    this.#socket = connect({ host: '127.0.0.1', port });
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => (this.isClosed = true));
    this.#socket.on('data', (bytes: Buffer) => this.#read(bytes));
    const window = Buffer.alloc(6);
    window.writeUInt16BE(4, 0);
    window.writeUInt32BE(WINDOW_BYTES, 2);
    this.#socket.write(PREFACE);
    this.#socket.write(RawClient.frame(FrameType.SETTINGS, 0, 0, window));
    // The connection has a window of its own, which begins with 64 KB.
    this.#socket.write(RawClient.frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(WINDOW_BYTES)));
    const block = RawClient.requestBlock(Watch.methods.watch.path);
    this.#socket.write(RawClient.frame(FrameType.HEADERS, FrameFlag.END_HEADERS, STREAM, block));
  }

  /** Sends so many requests. Those that the server does not read yet wait in this process, up to a limit. */
  send(count: number): void {
    if (this.isClosed || this.#socket.writableLength > WINDOW_BYTES) return;
    const parts: Buffer[] = [];
    for (let at = 0; at < count; at += 1) {
      parts.push(framed(WatchRequest.encode(this.#request())));
    }
    this.sent += count;
    const bytes = Buffer.concat(parts);
    for (let at = 0; at < bytes.length; at += 16_000)
      this.#socket.write(RawClient.frame(FrameType.DATA, 0, STREAM, bytes.subarray(at, at + 16_000)));
    if (!this.#isReader && this.#random.chance(0.1)) this.#socket.pause();
  }

  close(): void {
    this.#socket.destroy();
  }

  #request(): WatchRequest {
    const random = this.#random;
    const choice = random.next();
    if (choice < 0.1)
      return WatchRequest.create({
        requestUnion: { case: 'progressRequest', value: WatchProgressRequest.create() },
      });
    if (choice < 0.5) {
      const watchId = BigInt(random.int(2_000) - 5);
      return WatchRequest.create({
        requestUnion: { case: 'cancelRequest', value: WatchCancelRequest.create({ watchId }) },
      });
    }
    const key = Buffer.from(random.pick(['/storm/', `/storm/${random.int(STORM_KEYS)}`, '', '\0']));
    const rangeEnd = Buffer.from(random.pick(['', '', '/storm0', '\0', '/']));
    const value = WatchCreateRequest.create({
      key,
      rangeEnd,
      startRevision: random.pick([0, 0, 0, 1, 10, -1, random.int(2_000), 2 ** 40]),
      progressNotify: random.chance(0.3),
      fragment: random.chance(0.3),
      prevKv: random.chance(0.3),
      filters: random.chance(0.2) ? [random.int(3) as WatchCreateRequestFilterType] : [],
      watchId: random.chance(0.2) ? BigInt(random.int(2_000)) : 0n,
    });
    return WatchRequest.create({ requestUnion: { case: 'createRequest', value } });
  }

  /** Only counts. The windows grow by what was read. */
  #read(bytes: Buffer): void {
    this.receivedBytes += bytes.length;
    this.#input = this.#input.length === 0 ? bytes : Buffer.concat([this.#input, bytes]);
    let at = 0;
    while (this.#input.length - at >= FRAME_HEADER_BYTES) {
      const length = this.#input.readUIntBE(at, 3);
      if (this.#input.length - at < FRAME_HEADER_BYTES + length) break;
      if (this.#input[at + 3] === FrameType.DATA) this.#unacknowledged += length;
      at += FRAME_HEADER_BYTES + length;
    }
    this.#input = this.#input.subarray(at);
    if (this.#unacknowledged < WINDOW_BYTES / 4) return;
    const increment = uint32(this.#unacknowledged);
    this.#unacknowledged = 0;
    this.#socket.write(RawClient.frame(FrameType.WINDOW_UPDATE, 0, 0, increment));
    this.#socket.write(RawClient.frame(FrameType.WINDOW_UPDATE, 0, STREAM, increment));
  }
}
