import { FrameFlag, FrameType, PREFACE, SettingId } from '../../../src/http2/constants.ts';
import { encodeIndexed, encodeStatic } from '../../../src/http2/hpack-encoder.ts';
import { RawClient } from '../../../src/http2/raw-client.ts';
import { PutRequest } from '../../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../../src/wire/services.ts';
import { framed } from '../../harness/grpc-frame.ts';

const { END_HEADERS } = FrameFlag;

/** Frames repeated without end; `streams` of the ids in them are new in each round. */
export interface Round {
  /** Sent once, after the preface. */
  readonly opening: Buffer;
  /** The frames of the round with the given first stream id. */
  frames(firstId: number): Buffer;
  readonly framesARound: number;
  /** What the server answers each frame with; 0 for nothing. */
  readonly bytesOfAck: number;
  readonly streamsARound: number;
  /** After so many streams a connection is closed and the next one opened. */
  readonly streamsAConnection: number;
}

const ROUND = 500;
/** The preface of a client that has no wishes. */
export const hello = Buffer.concat([PREFACE, RawClient.frame(FrameType.SETTINGS, 0, 0)]);

/** Puts every field of a request into the dynamic table, so that each further request takes six bytes. */
const firstBlock = Buffer.concat([
  encodeStatic([
    [':method', 'POST'],
    [':scheme', 'http'],
  ]),
  encodeIndexed([':path', KV.methods.put.path]),
  encodeIndexed([':authority', 'localhost']),
  encodeIndexed(['content-type', 'application/grpc']),
  encodeIndexed(['te', 'trailers']),
]);
const shortBlock = Buffer.from([0x83, 0x86, 0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62]);

const put = PutRequest.encode(PutRequest.create({ key: Buffer.from('flood'), value: Buffer.alloc(64, 'f') }));
/** A put that lacks its last byte. */
const unfinished = framed(put).subarray(0, -1);

function withStreams(
  opening: (id: number) => Buffer,
  one: (id: number) => Buffer[],
  streamsAConnection: number,
): Round {
  const whole = Buffer.concat(Array.from({ length: ROUND }, () => Buffer.concat(one(0))));
  const offsets: number[] = [];
  let at = 0;
  for (let stream = 0; stream < ROUND; stream++) {
    for (const frame of one(0)) {
      offsets.push(at + 5);
      at += frame.length;
    }
  }
  const perStream = offsets.length / ROUND;
  return {
    opening: Buffer.concat([hello, opening(1)]),
    frames: (firstId) => {
      const frames = Buffer.from(whole);
      offsets.forEach((offset, i) => {
        frames.writeUInt32BE(firstId + 2 * Math.floor(i / perStream), offset);
      });
      return frames;
    },
    framesARound: offsets.length,
    bytesOfAck: 0,
    streamsARound: ROUND,
    streamsAConnection,
  };
}

function repeated(frame: Buffer, bytesOfAck: number): Round {
  const frames = Buffer.concat(Array.from({ length: ROUND }, () => frame));
  const [framesARound, streamsARound, streamsAConnection] = [ROUND, 0, Infinity];
  return {
    opening: hello,
    frames: () => frames,
    bytesOfAck,
    framesARound,
    streamsARound,
    streamsAConnection,
  };
}

const headers = (id: number, block: Buffer): Buffer =>
  RawClient.frame(FrameType.HEADERS, END_HEADERS, id, block);
const reset = (id: number): Buffer => RawClient.frame(FrameType.RST_STREAM, 0, id, [0, 0, 0, 8]);
const setting = Buffer.from([0, SettingId.MAX_FRAME_SIZE, 0, 0, 0x40, 0]);

/** What a client sends without end on a connection. */
export const rounds = {
  resets: withStreams(
    (id) => Buffer.concat([headers(id, firstBlock), reset(id)]),
    (id) => [headers(id, shortBlock), reset(id)],
    Infinity,
  ),
  'unfinished puts': withStreams(
    (id) => headers(id, firstBlock),
    (id) => [headers(id, shortBlock), RawClient.frame(FrameType.DATA, 0, id, unfinished)],
    70_000,
  ),
  settings: repeated(RawClient.frame(FrameType.SETTINGS, 0, 0, setting), 9),
  pings: repeated(RawClient.frame(FrameType.PING, 0, 0, Buffer.alloc(8)), 17),
} as const;
