import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ErrorCode, FrameFlag, FrameType, SettingId } from '../../src/http2/constants.ts';
import { RawClient } from '../../src/http2/raw-client.ts';
import {
  CompactionRequest,
  PutRequest,
  type PutResponse,
  RangeRequest,
} from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { eventually } from '../harness/wait.ts';
import { slowestPutDuring, TlsTarget } from './tls-target.ts';
import { framed } from '../harness/grpc-frame.ts';

const { END_HEADERS, END_STREAM } = FrameFlag;
const RANGE = KV.methods.range.path;
const LARGE_BYTES = 100_000;

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

/** Frames that open a stream with a request for a value. */
function rangeFrames(streamId: number, message: Buffer): Buffer {
  return Buffer.concat([
    RawClient.frame(FrameType.HEADERS, END_HEADERS, streamId, RawClient.requestBlock(RANGE)),
    RawClient.frame(FrameType.DATA, END_STREAM, streamId, framed(message)),
  ]);
}

const rangeOf = (key: string): Buffer =>
  RangeRequest.encode(RangeRequest.create({ key: Buffer.from(key), serializable: true }));

describe('floods of HTTP/2 over TLS end their connection only', () => {
  let target: TlsTarget;

  beforeAll(async () => {
    target = await TlsTarget.start('tls-floods', () => ['--keystead-max-held-bytes=134217728']);
    const client = target.rpc();
    for (const [name, size] of [
      ['small', 10],
      ['large', LARGE_BYTES],
    ] as const) {
      const request = PutRequest.create({ key: Buffer.from(name), value: Buffer.alloc(size, 'x') });
      expect(await client.unary(KV.methods.put, request)).toHaveProperty('messages');
    }
    client.close();
  });
  afterEach(() => target.release());
  afterAll(() => target.destroy());

  async function attacker(): Promise<RawClient> {
    return RawClient.open(target.connect({ ALPNProtocols: ['h2'] }));
  }

  /** Sends rounds until the server closes the connection, while a normal client continues. */
  async function flood(client: RawClient, round: (at: number) => Buffer, rounds: number): Promise<void> {
    const attack = async (): Promise<void> => {
      for (let at = 0; at < rounds && !client.closed; at++) {
        if (!client.socket.write(round(at)))
          await new Promise((resolve) => {
            client.socket.once('drain', resolve);
            client.socket.once('close', resolve);
          });
      }
      await client.until(() => client.closed, 20_000);
    };
    const honest = target.rpc();
    expect(await slowestPutDuring(honest, attack())).toBeLessThan(3_000);
    honest.close();
    const calm = client.of(FrameType.GOAWAY).map(({ payload }) => payload.readUInt32BE(4));
    expect(calm.length === 0 || calm.includes(ErrorCode.ENHANCE_YOUR_CALM)).toBe(true);
  }

  const many = (frame: Buffer, count: number): Buffer =>
    Buffer.concat(Array.from({ length: count }, () => frame));

  const frames: [string, Buffer][] = [
    ['settings', RawClient.frame(FrameType.SETTINGS, 0, 0)],
    ['pings', RawClient.frame(FrameType.PING, 0, 0, Buffer.alloc(8))],
    ['priorities', RawClient.frame(FrameType.PRIORITY, 0, 1, [0, 0, 0, 3, 1])],
    ['windows', RawClient.frame(FrameType.WINDOW_UPDATE, 0, 0, u32(1))],
    ['unknown frames', RawClient.frame(0x42, 0, 0)],
  ];
  it.each(frames)('%s', async (_what, frame) => {
    await flood(await attacker(), () => many(frame, 500), 100);
  });

  it('empty data', async () => {
    const client = await attacker();
    client.request(1, RANGE);
    await flood(client, () => many(RawClient.frame(FrameType.DATA, 0, 1), 500), 100);
  });

  it('endless continuations, empty and full', async () => {
    for (const size of [0, 16_000]) {
      const client = await attacker();
      client.send(FrameType.HEADERS, 0, 1, RawClient.requestBlock(RANGE));
      await flood(
        client,
        () => many(RawClient.frame(FrameType.CONTINUATION, 0, 1, Buffer.alloc(size)), 10),
        100,
      );
    }
  });

  it('rapid resets, before and after the request is complete', async () => {
    const message = rangeOf('small');
    const opening: ((id: number) => Buffer)[] = [
      (id) => RawClient.frame(FrameType.HEADERS, END_HEADERS, id, RawClient.requestBlock(RANGE)),
      (id) => rangeFrames(id, message),
    ];
    for (const open of opening) {
      const client = await attacker();
      let id = 1;
      const pair = (): Buffer => {
        const frames = [open(id), RawClient.frame(FrameType.RST_STREAM, 0, id, u32(ErrorCode.CANCEL))];
        id += 2;
        return Buffer.concat(frames);
      };
      await flood(client, () => Buffer.concat(Array.from({ length: 200 }, pair)), 200);
    }
  });

  it('resets that the server is provoked to send', async () => {
    const client = await attacker();
    let id = 1;
    const pair = (): Buffer => {
      const frames = [
        RawClient.frame(FrameType.HEADERS, END_HEADERS, id, RawClient.requestBlock(RANGE)),
        RawClient.frame(FrameType.WINDOW_UPDATE, 0, id, u32(0)),
      ];
      id += 2;
      return Buffer.concat(frames);
    };
    // Occasional answered requests do not allow more of them.
    const message = rangeOf('small');
    const round = (): Buffer => {
      const pairs = Buffer.concat(Array.from({ length: 400 }, pair));
      id += 2;
      return Buffer.concat([pairs, rangeFrames(id - 2, message)]);
    };
    await flood(client, round, 100);
  });

  it('windows of all streams changed at once, again and again', async () => {
    const client = await attacker();
    const streams = 20_000;
    const open = Array.from({ length: streams }, (_, at) =>
      RawClient.frame(FrameType.HEADERS, END_HEADERS, 2 * at + 1, RawClient.requestBlock(RANGE)),
    );
    client.socket.write(Buffer.concat(open));
    const setting = (value: number): Buffer => {
      const bytes = Buffer.alloc(6);
      bytes.writeUInt16BE(SettingId.INITIAL_WINDOW_SIZE);
      bytes.writeUInt32BE(value, 2);
      return bytes;
    };
    const changes = Buffer.concat(Array.from({ length: 2_700 }, (_, at) => setting(at)));
    await flood(client, () => RawClient.frame(FrameType.SETTINGS, 0, 0, changes), 100);
  });

  it('header lists that expand a thousandfold', async () => {
    const client = await attacker();
    // A field of 4,000 bytes in the dynamic table, then references to it of one byte each.
    const value = Buffer.alloc(4_000, 'v');
    const literal = Buffer.concat([Buffer.from([0x40, 1, 0x78, 0x7f, 0xa1, 0x1e]), value]);
    const bomb = (streamId: number): Buffer =>
      RawClient.frame(
        FrameType.HEADERS,
        END_HEADERS | END_STREAM,
        streamId,
        Buffer.concat([RawClient.requestBlock(RANGE), literal, Buffer.alloc(12_000, 0xbe)]),
      );
    const before = target.residentBytes;
    let id = 1;
    const next = (): Buffer => {
      id += 2;
      return bomb(id);
    };
    await flood(client, () => Buffer.concat([next(), next(), next()]), 1_000);
    expect(target.residentBytes - before).toBeLessThan(200e6);
  });

  describe('held memory', () => {
    /** What is held is bounded; that freed memory goes back to the system at once is not asked for. */
    const growth = 350e6;

    /** Asks for the large value on many streams, none of which has a window. */
    async function askForMany(client: RawClient, count: number): Promise<void> {
      client.setting(SettingId.INITIAL_WINDOW_SIZE, 0);
      const message = rangeOf('large');
      for (let at = 0; at < count && !client.closed; at += 100) {
        const frames = Array.from({ length: 100 }, (_, i) => rangeFrames(2 * (at + i) + 1, message));
        client.socket.write(Buffer.concat(frames));
        await new Promise(setImmediate);
      }
      await client.until(() => client.closed || client.of(FrameType.HEADERS).length >= count, 60_000);
    }

    it('responses that are not read close the connection', async () => {
      const before = target.residentBytes;
      const client = await attacker();
      const honest = target.rpc();
      expect(await slowestPutDuring(honest, askForMany(client, 10_000))).toBeLessThan(3_000);
      honest.close();
      expect(client.closed).toBe(true);
      expect((await client.goAway()).code).toBe(ErrorCode.ENHANCE_YOUR_CALM);
      expect(target.residentBytes - before).toBeLessThan(growth);
    });

    it('a client that reads late gets all responses', async () => {
      const client = await attacker();
      const count = 500;
      await askForMany(client, count);
      client.windowUpdate(0, 1 << 30);
      client.setting(SettingId.INITIAL_WINDOW_SIZE, 1 << 20);
      for (let at = 0; at < count; at++) await client.ended(2 * at + 1);
      for (let at = 0; at < count; at++) expect(client.data(2 * at + 1).length).toBeGreaterThan(LARGE_BYTES);
    });

    it('requests that are not completed', async () => {
      const before = target.residentBytes;
      const client = await attacker();
      const part = Buffer.alloc(16_000);
      const prefix = Buffer.from([0, 0, 1, 0x86, 0xa0]);
      const putHead = RawClient.requestBlock(KV.methods.put.path);
      let id = -1;
      const begun = (): Buffer => {
        id += 2;
        return Buffer.concat([
          RawClient.frame(FrameType.HEADERS, END_HEADERS, id, putHead),
          RawClient.frame(FrameType.DATA, 0, id, Buffer.concat([prefix, part])),
          ...Array.from({ length: 5 }, () => RawClient.frame(FrameType.DATA, 0, id, part)),
        ]);
      };
      await flood(client, begun, 5_000);
      expect(target.residentBytes - before).toBeLessThan(growth);
    });

    it('lists that are not read do not block compactions', async () => {
      const honest = target.rpc();
      const put = async (key: string): Promise<number> => {
        const request = PutRequest.create({ key: Buffer.from(key), value: Buffer.alloc(LARGE_BYTES) });
        const answer = await honest.unary(KV.methods.put, request);
        if (!('messages' in answer)) throw new Error(answer.details);
        return (answer.messages[0] as PutResponse).header?.revision ?? 0;
      };
      const list = RangeRequest.encode(
        RangeRequest.create({ key: Buffer.from('list/'), rangeEnd: Buffer.from('list0') }),
      );
      for (const at of [1, 2, 3, 4]) await put(`list/${at}`);
      const clients = await Promise.all([attacker(), attacker(), attacker()]);
      for (const client of clients) {
        client.setting(SettingId.INITIAL_WINDOW_SIZE, 0);
        client.socket.write(rangeFrames(1, list));
        await client.until(() => client.headers(1)[':status'] === '200');
      }
      const [stalled, reset, gone] = clients;
      // One that goes on reading later sees what it asked for, whatever is compacted up to then.
      const revision = await put('list/1');
      const compact = (at: number): Promise<unknown> =>
        honest.unary(KV.methods.compact, CompactionRequest.create({ revision: at, physical: true }));
      expect(await compact(revision - 1)).toHaveProperty('messages');
      reset.rst(1);
      gone.close();
      stalled.windowUpdate(0, 1 << 20);
      stalled.setting(SettingId.INITIAL_WINDOW_SIZE, 1 << 20);
      await stalled.ended(1);
      expect(stalled.data(1).length).toBeGreaterThan(4 * LARGE_BYTES);
      expect(await compact(await put('list/1'))).toHaveProperty('messages');
      honest.close();
    });

    it('responses that are requested and not read from the connection', async () => {
      const before = target.residentBytes;
      const client = await attacker();
      client.socket.pause();
      client.setting(SettingId.INITIAL_WINDOW_SIZE, 1 << 30);
      client.windowUpdate(0, 1 << 30);
      const message = rangeOf('large');
      const honest = target.rpc();
      const attack = async (): Promise<void> => {
        for (let at = 0; at < 10_000 && client.socket.writableLength < 8e6; at += 100) {
          const frames = Array.from({ length: 100 }, (_, i) => rangeFrames(2 * (at + i) + 1, message));
          client.socket.write(Buffer.concat(frames));
          await new Promise(setImmediate);
        }
      };
      expect(await slowestPutDuring(honest, attack())).toBeLessThan(3_000);
      await eventually('calm', async () => (await slowestPutDuring(honest, Promise.resolve())) < 1_000);
      honest.close();
      expect(target.residentBytes - before).toBeLessThan(growth);
      client.close();
    });
  });
});
