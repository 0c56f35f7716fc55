import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { assert } from '../lib/assert.ts';
import type { SeededRandom } from '../lib/seeded-random.ts';
import { ConnectionError, FRAME_HEADER_BYTES, FrameFlag, FrameType, PREFACE } from '../http2/constants.ts';
import { HpackDecoder } from '../http2/hpack-decoder.ts';
import { encodeIndexed, encodeStatic, encodeTableSize, type HeaderPair } from '../http2/hpack-encoder.ts';
import { huffmanCodes } from '../http2/huffman.ts';
import { RawClient } from '../http2/raw-client.ts';
import { MessageReader } from './message-reader.ts';
import { TestServer } from './test-server.ts';

/** A socket without a network. It keeps what is written. The fuzzer decides whether writes complete at once. */
class FuzzSocket extends EventEmitter {
  readonly written: Buffer[] = [];
  writableLength = 0;
  writableNeedDrain = false;
  destroyed = false;
  paused = false;
  #closing = false;

  write(bytes: Buffer): boolean {
    assert(!this.destroyed && !this.#closing, 'nothing is written after the end of a connection');
    this.written.push(Buffer.from(bytes));
    return true;
  }

  cork(): void {
    // Writes are kept one by one.
  }

  uncork(): void {
    // Writes are kept one by one.
  }

  pause(): this {
    this.paused = true;
    return this;
  }

  resume(): this {
    this.paused = false;
    return this;
  }

  end(): this {
    this.#closing = true;
    setImmediate(() => this.destroy());
    return this;
  }

  destroy(): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    this.emit('close');
    return this;
  }
}

const PATHS = [
  '/test.Test/Echo',
  '/test.Test/Hang',
  '/test.Test/EchoStream',
  '/test.Test/Count',
  '/test.Test/Big',
  '/no',
];

function pad4(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

function grpcMessage(random: SeededRandom): Buffer {
  const body = random.chance(0.5) ? Buffer.from(String(random.int(100_000))) : random.bytes(random.int(500));
  const prefix = Buffer.alloc(5);
  prefix[0] = random.chance(0.95) ? 0 : random.int(3);
  prefix.writeUInt32BE(random.chance(0.95) ? body.length : random.uint32(), 1);
  return Buffer.concat([prefix, body]);
}

function headerBlock(random: SeededRandom): Buffer {
  const extra: HeaderPair[] = [];
  if (random.chance(0.2)) extra.push(['grpc-timeout', `${random.int(50)}m`]);
  if (random.chance(0.1)) extra.push(['grpc-encoding', random.pick(['gzip', 'identity', 'x'])]);
  if (random.chance(0.1)) extra.push(['x-data', 'v'.repeat(random.int(3_000))]);
  const block = RawClient.requestBlock(random.pick(PATHS), extra);
  return random.chance(0.1) ? Buffer.concat([encodeIndexed(['k', String(random.int(9))]), block]) : block;
}

/** A frame that is mostly valid, with mostly increasing ids. */
function someFrame(random: SeededRandom, ids: { next: number }): Buffer {
  const old = 1 + 2 * random.int(Math.max(1, (ids.next + 1) / 2));
  const end = random.chance(0.5) ? FrameFlag.END_STREAM : 0;
  switch (random.int(12)) {
    case 0:
    case 1:
    case 2:
    case 3: {
      const id = ids.next;
      ids.next += 2;
      const block = headerBlock(random);
      const cut = random.int(block.length);
      const headers = random.chance(0.8)
        ? RawClient.frame(
            FrameType.HEADERS,
            FrameFlag.END_HEADERS | (random.chance(0.1) ? end : 0),
            id,
            block,
          )
        : Buffer.concat([
            RawClient.frame(FrameType.HEADERS, 0, id, block.subarray(0, cut)),
            RawClient.frame(FrameType.CONTINUATION, FrameFlag.END_HEADERS, id, block.subarray(cut)),
          ]);
      return Buffer.concat([headers, RawClient.frame(FrameType.DATA, end, id, grpcMessage(random))]);
    }
    case 4:
    case 5:
      return RawClient.frame(
        FrameType.DATA,
        end | (random.chance(0.1) ? FrameFlag.PADDED : 0),
        old,
        grpcMessage(random),
      );
    case 6:
      return RawClient.frame(FrameType.RST_STREAM, 0, old, pad4(random.int(15)));
    case 7:
      return RawClient.frame(
        FrameType.WINDOW_UPDATE,
        0,
        random.chance(0.5) ? 0 : old,
        pad4(random.int(100_000)),
      );
    case 8: {
      const setting = Buffer.concat([Buffer.from([0, 1 + random.int(7)]), pad4(random.int(100_000))]);
      return RawClient.frame(FrameType.SETTINGS, 0, 0, setting);
    }
    case 9:
      return RawClient.frame(FrameType.PING, random.int(2), 0, random.bytes(8));
    case 10:
      return RawClient.frame(FrameType.PRIORITY, 0, old, random.bytes(5));
    default:
      return RawClient.frame(
        random.int(12),
        random.int(256),
        random.chance(0.5) ? 0 : old,
        random.bytes(random.int(40)),
      );
  }
}

function clientBytes(random: SeededRandom): Buffer {
  const parts = [PREFACE, RawClient.frame(FrameType.SETTINGS, 0, 0)];
  if (random.chance(0.1)) {
    parts.push(random.bytes(random.int(2_000)));
    return Buffer.concat(parts);
  }
  const ids = { next: 1 };
  const frames = random.int(60);
  for (let i = 0; i < frames; i++) parts.push(someFrame(random, ids));
  const bytes = Buffer.concat(parts);
  const faults = random.chance(0.5) ? 0 : random.int(5);
  for (let i = 0; i < faults; i++)
    bytes[PREFACE.length + random.int(bytes.length - PREFACE.length)] = random.int(256);
  return bytes;
}

/** Checks that the server sent complete frames with valid header blocks. */
function checkOutput(written: Buffer): void {
  const decoder = new HpackDecoder({ maxListBytes: 1 << 20, tableBytes: 4096 });
  let at = 0;
  while (at < written.length) {
    assert(written.length - at >= FRAME_HEADER_BYTES, 'the server ends on a frame');
    const length = written.readUIntBE(at, 3);
    const type = written.readUInt8(at + 3);
    const payload = at + FRAME_HEADER_BYTES;
    assert(payload + length <= written.length, 'the server ends on a frame');
    assert(type <= FrameType.CONTINUATION, 'the server sends frames of the protocol');
    if (type === FrameType.HEADERS) {
      decoder.decode(written, payload, payload + length);
      assert(decoder.fields.length > 0, 'the server sends no empty header block');
    }
    at = payload + length;
  }
}

async function tick(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}

/** Sends valid and invalid frames in random pieces to one connection of a server. */
async function fuzzConnection(random: SeededRandom): Promise<void> {
  const server = new TestServer({ maxReceiveBytes: 64 * 1024 });
  const socket = new FuzzSocket();
  server.grpc.serveHttp2(socket as unknown as Socket);
  const bytes = clientBytes(random);
  for (let at = 0; at < bytes.length;) {
    const size = random.chance(0.3) ? 1 + random.int(20) : 1 + random.int(4_000);
    socket.emit('data', bytes.subarray(at, at + size));
    at += size;
    if (random.chance(0.1)) await tick();
    if (random.chance(0.05)) {
      socket.writableNeedDrain = random.chance(0.5);
      if (!socket.writableNeedDrain) socket.emit('drain');
    }
    if (random.chance(0.05)) {
      for (const call of server.hanging.splice(0)) call.respond(random.bytes(random.int(100)));
    }
  }
  await tick();
  await tick();
  checkOutput(Buffer.concat(socket.written));
  socket.destroy();
  assert(server.grpc.connectionCount === 0, 'a closed connection is forgotten');
  server.grpc.close();
}

function codedString(random: SeededRandom, text: string): Buffer {
  let bytes = Buffer.from(text, 'latin1');
  let flag = 0;
  if (random.chance(0.5)) {
    const codes = huffmanCodes();
    let bits = '';
    for (const byte of bytes) {
      const code = codes[byte];
      if (code !== undefined) bits += code.bits.toString(2).padStart(code.length, '0');
    }
    bits += '1'.repeat((8 - (bits.length % 8)) % 8);
    bytes = Buffer.from((bits.match(/.{8}/g) ?? []).map((each) => parseInt(each, 2)));
    flag = 0x80;
  }
  const length = [];
  if (bytes.length < 0x7f) length.push(flag | bytes.length);
  else {
    length.push(flag | 0x7f);
    let rest = bytes.length - 0x7f;
    for (; rest >= 0x80; rest >>= 7) length.push((rest & 0x7f) | 0x80);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** Random lists in random representations decode to the same lists. Damaged blocks are only refused. */
function fuzzHpack(random: SeededRandom): void {
  const tableBytes = random.pick([0, 100, 4096]);
  const decoder = new HpackDecoder({ maxListBytes: 1 << 20, tableBytes });
  for (let round = 0; round < 10; round++) {
    const expected: HeaderPair[] = [];
    const parts: Buffer[] = random.chance(0.2) ? [encodeTableSize(random.int(tableBytes + 1))] : [];
    const count = random.int(10);
    for (let i = 0; i < count; i++) {
      const header: HeaderPair = [`n${random.int(20)}`, random.bytes(random.int(300)).toString('latin1')];
      expected.push(header);
      const first = random.pick([0x00, 0x10, 0x40]);
      parts.push(Buffer.from([first]), codedString(random, header[0]), codedString(random, header[1]));
    }
    parts.push(encodeStatic([[':method', 'POST']]));
    expected.push([':method', 'POST']);
    const block = Buffer.concat(parts);
    decoder.decode(block, 0, block.length);
    const got = decoder.fields.map(({ name, value }) => [name, value]);
    assert(JSON.stringify(got) === JSON.stringify(expected), 'a header list comes back as it was encoded');
    damage(random, block);
  }
}

function damage(random: SeededRandom, block: Buffer): void {
  const decoder = new HpackDecoder({ maxListBytes: 1 << 16, tableBytes: 4096 });
  const bytes = random.chance(0.5) ? random.bytes(random.int(200)) : Buffer.from(block);
  for (let i = 0; i < 3 && bytes.length > 0; i++) bytes[random.int(bytes.length)] = random.int(256);
  try {
    for (let i = 0; i < 3; i++) decoder.decode(bytes, 0, random.int(bytes.length + 1));
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
  }
}

/** Messages in random pieces are read completely. */
function fuzzMessages(random: SeededRandom): void {
  const sent = Array.from({ length: random.int(20) }, () =>
    random.bytes(random.pick([0, 1, 10, 5_000, 70_000])),
  );
  const bytes = Buffer.concat(
    sent.flatMap((message) => {
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(message.length, 1);
      return [prefix, message];
    }),
  );
  const got: Buffer[] = [];
  const reader = new MessageReader(
    {
      onRawMessage: (message) => got.push(message),
      onMessageFault: (_code, text) => assert(false, text),
      onMessageStart: () => undefined,
    },
    100_000,
  );
  const most = random.pick([3, 100, 20_000, 200_000]);
  for (let at = 0; at < bytes.length;) {
    const size = 1 + random.int(most);
    reader.push(bytes.subarray(at, at + size));
    at += size;
  }
  assert(reader.atBoundary, 'the reader ends between messages');
  assert(Buffer.concat(got).equals(Buffer.concat(sent)) && got.length === sent.length, 'messages come back');
}

/**
 * One round of fuzzing, determined by `random`. Throws an error for a finding. To detect hangs and growth, the caller
 * measures time and memory.
 */
export async function fuzzRound(random: SeededRandom): Promise<void> {
  switch (random.int(6)) {
    case 0:
      fuzzHpack(random);
      return;
    case 1:
      fuzzMessages(random);
      return;
    default:
      await fuzzConnection(random);
  }
}
