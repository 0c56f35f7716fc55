import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { ConnectionHarness } from './connection-harness.ts';
import { ErrorCode, FrameFlag, FrameType, PREFACE, SettingId } from './constants.ts';
import { encodeIndexed } from './hpack-encoder.ts';
import type { ConnectionLimits, KeepalivePolicy } from './limits.ts';
import { RawClient } from './raw-client.ts';

const harnesses: ConnectionHarness[] = [];
const clients: RawClient[] = [];

async function start(
  limits: Partial<ConnectionLimits> = {},
  keepalive: Partial<KeepalivePolicy> = {},
): Promise<{ harness: ConnectionHarness; client: RawClient }> {
  const harness = await new ConnectionHarness(limits, keepalive).start();
  harnesses.push(harness);
  const client = await harness.connect();
  clients.push(client);
  return { harness, client };
}

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
  for (const harness of harnesses.splice(0)) harness.stop();
});

const END_HEADERS = FrameFlag.END_HEADERS;
const END_BOTH = FrameFlag.END_HEADERS | FrameFlag.END_STREAM;

describe('requests', () => {
  it('padding, priority and continuation change nothing', async () => {
    const { client } = await start();
    const block = RawClient.requestBlock('/echo');
    const third = Math.floor(block.length / 3);
    client.send(
      FrameType.HEADERS,
      FrameFlag.PADDED | FrameFlag.PRIORITY,
      1,
      Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 15]), block.subarray(0, third), Buffer.alloc(4)]),
    );
    client.send(FrameType.CONTINUATION, 0, 1, block.subarray(third, 2 * third));
    client.send(FrameType.CONTINUATION, END_HEADERS, 1, block.subarray(2 * third));
    client.send(FrameType.DATA, FrameFlag.PADDED, 1, Buffer.from('\x03abc\0\0\0', 'latin1'));
    client.send(FrameType.DATA, FrameFlag.END_STREAM, 1, Buffer.from('def'));
    await client.ended(1);
    expect(client.headers(1)).toEqual({ ':status': '200' });
    expect(client.data(1).toString()).toBe('abcdef');
  });

  it('trailing headers end a request', async () => {
    const { client } = await start();
    client.request(1, '/echo');
    client.send(FrameType.DATA, 0, 1, Buffer.from('abc'));
    client.send(FrameType.HEADERS, END_BOTH, 1, encodeIndexed(['x-checksum', '1']));
    await client.ended(1);
    expect(client.data(1).toString()).toBe('abc');
  });

  it('a response before the end of the request ends the stream with NO_ERROR, and late data is ignored', async () => {
    const { client } = await start();
    client.request(1, '/bytes/10');
    await client.until(() => client.resetCode(1) !== undefined);
    expect(client.resetCode(1)).toBe(ErrorCode.NO_ERROR);
    client.send(FrameType.DATA, FrameFlag.END_STREAM, 1, Buffer.from('late'));
    client.request(3, '/bytes/10', [], END_BOTH);
    await client.ended(3);
    expect(client.of(FrameType.RST_STREAM)).toHaveLength(1);
  });

  it('more streams than announced are refused', async () => {
    const { client } = await start({ maxConcurrentStreams: 2 });
    for (const id of [1, 3, 5]) client.request(id, '/hang');
    await client.ended(5);
    expect(client.resetCode(5)).toBe(ErrorCode.REFUSED_STREAM);
    client.rst(1);
    client.request(7, '/bytes/1', [], END_BOTH);
    await client.ended(7);
    expect(client.data(7)).toHaveLength(1);
  });

  it('a header list over the limit ends only its stream', async () => {
    const { client } = await start({ maxHeaderListBytes: 8_000 });
    client.request(1, '/echo', [['x-large', 'v'.repeat(8_000)]], END_BOTH);
    await client.ended(1);
    expect(client.resetCode(1)).toBe(ErrorCode.FRAME_SIZE_ERROR);
    client.request(3, '/bytes/1', [], END_BOTH);
    await client.ended(3);
    expect(client.data(3)).toHaveLength(1);
  });
});

describe('flow control', () => {
  it('a response waits for the window of its stream and of the connection', async () => {
    const { client } = await start();
    client.setting(SettingId.INITIAL_WINDOW_SIZE, 1_000);
    client.request(1, '/bytes/100000', [], END_BOTH);
    await client.until(() => client.data(1).length === 1_000);
    client.windowUpdate(1, 90_000);
    await client.until(() => client.data(1).length === 65_535);
    client.windowUpdate(0, 100_000);
    await client.until(() => client.data(1).length === 91_000);
    client.windowUpdate(1, 100_000);
    await client.ended(1);
    expect(client.data(1)).toHaveLength(100_000);
  });

  it('a smaller initial window may make windows negative, and they must become positive before data is sent', async () => {
    const { client } = await start();
    client.request(1, '/bytes/100000', [], END_BOTH);
    await client.until(() => client.data(1).length === 65_535);
    client.setting(SettingId.INITIAL_WINDOW_SIZE, 0);
    client.windowUpdate(0, 1_000_000);
    client.windowUpdate(1, 65_535);
    client.send(FrameType.PING, 0, 0, Buffer.from('12345678'));
    await client.until(() => client.of(FrameType.PING).length === 1);
    expect(client.data(1)).toHaveLength(65_535);
    client.windowUpdate(1, 1);
    await client.until(() => client.data(1).length === 65_536);
  });

  it('streams share the connection by round robin', async () => {
    const { client } = await start();
    client.setting(SettingId.INITIAL_WINDOW_SIZE, 1_000_000);
    client.request(1, '/bytes/500000', [], END_BOTH);
    client.request(3, '/bytes/500000', [], END_BOTH);
    await client.until(() => client.data(1).length + client.data(3).length === 65_535);
    client.windowUpdate(0, 160_000);
    await client.until(() => client.data(1).length + client.data(3).length === 225_535);
    const share = client.data(3).length;
    expect(share).toBeGreaterThan(64_000);
  });

  it('a client that does not read uses bounded memory', async () => {
    const { harness, client } = await start({ maxSocketBacklogBytes: 256 * 1024 });
    client.setting(SettingId.INITIAL_WINDOW_SIZE, 0x7fffffff);
    client.windowUpdate(0, 0x7fffffff - 65_535);
    await client.until(() => client.of(FrameType.SETTINGS).length === 3);
    client.socket.pause();
    client.request(1, '/bytes/200000000', [], END_BOTH);
    let before = -1;
    while (harness.pulled !== before || before === 0) {
      before = harness.pulled;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    // The bytes in the kernel's buffers, plus the backlog.
    expect(harness.pulled).toBeLessThan(20_000_000);
    expect(harness.connections[0]!.socket.writableLength).toBeLessThan(600 * 1024);
    client.socket.resume();
    await client.until(() => harness.pulled > before + 20_000_000);
  });

  it('stream windows of requests are refilled only as data is consumed', async () => {
    const { harness, client } = await start({ streamReceiveWindow: 20_000 });
    client.request(1, '/hang');
    client.send(FrameType.DATA, 0, 1, Buffer.alloc(15_000));
    client.request(3, '/sink');
    client.send(FrameType.DATA, 0, 3, Buffer.alloc(15_000));
    await client.until(() => client.of(FrameType.WINDOW_UPDATE, 3).length === 1);
    expect(client.of(FrameType.WINDOW_UPDATE, 3)[0]!.payload.readUInt32BE()).toBe(15_000);
    expect(client.of(FrameType.WINDOW_UPDATE, 1)).toHaveLength(0);
    client.send(FrameType.DATA, 0, 1, Buffer.alloc(5_001));
    await client.ended(1);
    expect(client.resetCode(1)).toBe(ErrorCode.FLOW_CONTROL_ERROR);
    expect(harness.resets).toEqual([ErrorCode.FLOW_CONTROL_ERROR]);
  });

  it('the connection window is refilled even if nothing is consumed', async () => {
    const { client } = await start({ connectionReceiveWindow: 100_000, streamReceiveWindow: 60_000 });
    for (const id of [1, 3, 5, 7, 9]) {
      client.request(id, '/hang');
      for (let i = 0; i < 3; i++) client.send(FrameType.DATA, 0, id, Buffer.alloc(16_000));
    }
    client.request(11, '/bytes/1', [], END_BOTH);
    await client.ended(11);
    expect(client.closed).toBe(false);
    expect(client.of(FrameType.WINDOW_UPDATE, 0).length).toBeGreaterThan(2);
  });
});

describe('protocol errors that close the connection', () => {
  const u32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };

  it.each<[string, number, (client: RawClient) => void]>([
    ['DATA on stream 0', ErrorCode.PROTOCOL_ERROR, (c) => c.send(FrameType.DATA, 0, 0, [1])],
    ['DATA on an idle stream', ErrorCode.PROTOCOL_ERROR, (c) => c.send(FrameType.DATA, 0, 1, [1])],
    ['HEADERS on an even stream', ErrorCode.PROTOCOL_ERROR, (c) => c.request(2, '/echo')],
    ['PUSH_PROMISE', ErrorCode.PROTOCOL_ERROR, (c) => c.send(FrameType.PUSH_PROMISE, 0, 1, [0, 0, 0, 2])],
    ['CONTINUATION alone', ErrorCode.PROTOCOL_ERROR, (c) => c.send(FrameType.CONTINUATION, END_HEADERS, 1)],
    ['a window update of 0', ErrorCode.PROTOCOL_ERROR, (c) => c.windowUpdate(0, 0)],
    ['a window beyond 2^31-1', ErrorCode.FLOW_CONTROL_ERROR, (c) => c.windowUpdate(0, 0x7fffffff)],
    ['a short WINDOW_UPDATE', ErrorCode.FRAME_SIZE_ERROR, (c) => c.send(FrameType.WINDOW_UPDATE, 0, 0, [1])],
    ['a short PING', ErrorCode.FRAME_SIZE_ERROR, (c) => c.send(FrameType.PING, 0, 0, [1])],
    ['a short GOAWAY', ErrorCode.FRAME_SIZE_ERROR, (c) => c.send(FrameType.GOAWAY, 0, 0, [1])],
    ['RST_STREAM of an idle stream', ErrorCode.PROTOCOL_ERROR, (c) => c.rst(9)],
    [
      'SETTINGS of 5 bytes',
      ErrorCode.FRAME_SIZE_ERROR,
      (c) => c.send(FrameType.SETTINGS, 0, 0, Buffer.alloc(5)),
    ],
    ['SETTINGS on a stream', ErrorCode.PROTOCOL_ERROR, (c) => c.send(FrameType.SETTINGS, 0, 1)],
    ['ENABLE_PUSH of 2', ErrorCode.PROTOCOL_ERROR, (c) => c.setting(SettingId.ENABLE_PUSH, 2)],
    ['MAX_FRAME_SIZE of 1', ErrorCode.PROTOCOL_ERROR, (c) => c.setting(SettingId.MAX_FRAME_SIZE, 1)],
    [
      'a window of 2^31',
      ErrorCode.FLOW_CONTROL_ERROR,
      (c) => c.setting(SettingId.INITIAL_WINDOW_SIZE, 0x80000000),
    ],
    [
      'a broken header block',
      ErrorCode.COMPRESSION_ERROR,
      (c) => c.send(FrameType.HEADERS, END_HEADERS, 1, [0xbe]),
    ],
    [
      'padding longer than the frame',
      ErrorCode.PROTOCOL_ERROR,
      (c) => {
        c.request(1, '/echo');
        c.send(FrameType.DATA, FrameFlag.PADDED, 1, [9, 1]);
      },
    ],
    [
      'an interrupted header block',
      ErrorCode.PROTOCOL_ERROR,
      (c) => {
        c.send(FrameType.HEADERS, 0, 1, RawClient.requestBlock('/echo'));
        c.send(FrameType.PING, 0, 0, Buffer.alloc(8));
      },
    ],
    [
      'an oversized frame',
      ErrorCode.FRAME_SIZE_ERROR,
      (c) => c.send(FrameType.PING, 0, 0, Buffer.alloc(16_385)),
    ],
    [
      'a reused stream id',
      ErrorCode.PROTOCOL_ERROR,
      (c) => {
        c.request(5, '/hang');
        c.request(3, '/hang');
      },
    ],
    ['a priority on stream 0', ErrorCode.PROTOCOL_ERROR, (c) => c.send(FrameType.PRIORITY, 0, 0, u32(1))],
  ])('%s', async (_, code, act) => {
    const { harness, client } = await start();
    act(client);
    expect((await client.goAway()).code).toBe(code);
    await client.until(() => client.closed);
    await expect.poll(() => harness.closed).toBe(1);
    const other = await harness.connect();
    clients.push(other);
    other.request(1, '/bytes/1', [], END_BOTH);
    await other.ended(1);
  });

  it('a first frame other than SETTINGS, and a broken preface', async () => {
    const { harness } = await start();
    const first = new RawClient(harness.where);
    clients.push(first);
    first.socket.write(PREFACE);
    first.send(FrameType.PING, 0, 0, Buffer.alloc(8));
    expect((await first.goAway()).code).toBe(ErrorCode.PROTOCOL_ERROR);
    const second = new RawClient(harness.where);
    clients.push(second);
    second.socket.write('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n');
    expect((await second.goAway()).code).toBe(ErrorCode.PROTOCOL_ERROR);
  });
});

describe('floods close only their own connection', () => {
  it.each<[string, (client: RawClient) => Buffer]>([
    ['settings', () => RawClient.frame(FrameType.SETTINGS, 0, 0)],
    ['settings acknowledgements', () => RawClient.frame(FrameType.SETTINGS, FrameFlag.ACK, 0)],
    ['priorities', () => RawClient.frame(FrameType.PRIORITY, 0, 1, [0, 0, 0, 3, 1])],
    [
      'empty data',
      (client) => {
        client.request(1, '/sink');
        return RawClient.frame(FrameType.DATA, 0, 1);
      },
    ],
    ['window updates', () => RawClient.frame(FrameType.WINDOW_UPDATE, 0, 0, [0, 0, 0, 1])],
    ['unknown frames', () => RawClient.frame(0x42, 0, 0, [1])],
    ['goaways', () => RawClient.frame(FrameType.GOAWAY, 0, 0, Buffer.alloc(8))],
    ['ping answers', () => RawClient.frame(FrameType.PING, FrameFlag.ACK, 0, Buffer.alloc(8))],
  ])('%s', async (_, frame) => {
    const { client } = await start();
    const one = frame(client);
    client.socket.write(Buffer.concat(Array.from({ length: 1_500 }, () => one)));
    const { code, text } = await client.goAway();
    expect(code).toBe(ErrorCode.ENHANCE_YOUR_CALM);
    expect(text).toBe('too many control frames');
    await client.until(() => client.closed);
  });

  it('rapid reset', async () => {
    const { client } = await start({ maxResets: 100 });
    for (let i = 0; i < 150; i++) {
      client.request(2 * i + 1, '/hang');
      client.rst(2 * i + 1);
    }
    expect(await client.goAway()).toMatchObject({
      code: ErrorCode.ENHANCE_YOUR_CALM,
      text: 'too many resets',
    });
  });

  it('resets between mostly served requests are not a flood', async () => {
    const { client } = await start({ maxResets: 50 });
    for (let i = 0; i < 300; i++) {
      client.request(2 * i + 1, i % 3 === 0 ? '/hang' : '/bytes/1', [], END_BOTH);
      if (i % 3 === 0) client.rst(2 * i + 1);
    }
    client.request(601, '/bytes/1', [], END_BOTH);
    await client.ended(601);
    expect(client.of(FrameType.GOAWAY)).toHaveLength(0);
  });

  it('windows of many streams changed repeatedly, with responses in between', async () => {
    const { client } = await start();
    const value = (size: number): Buffer => Buffer.from([0, SettingId.INITIAL_WINDOW_SIZE, 0, 0, 0, size]);
    // If a frame has several values, the last one applies.
    client.send(FrameType.SETTINGS, 0, 0, Buffer.concat([value(9), value(0), value(4)]));
    client.request(1, '/bytes/6', [], END_BOTH);
    await client.until(() => client.data(1).length === 4);
    for (let i = 1; i <= 5_000; i++) client.request(2 * i + 1, '/hang');
    // The changes of one second count. A busy machine may need longer for the first of them.
    for (let i = 0; i < 2_000 && client.of(FrameType.GOAWAY).length === 0; i++) {
      client.send(FrameType.SETTINGS, 0, 0, value(i % 100));
      client.request(10_003 + 2 * i, '/bytes/0', [], END_BOTH);
      if (i % 110 !== 109) continue;
      await client.until(
        () => client.of(FrameType.GOAWAY).length > 0 || client.of(FrameType.HEADERS).length > i,
      );
    }
    expect(await client.goAway()).toMatchObject({
      code: ErrorCode.ENHANCE_YOUR_CALM,
      text: 'too many changes of all windows',
    });
  });

  it('errors that make this side reset streams', async () => {
    const { client } = await start({ maxResets: 100, maxIdleFrames: 1_000_000 });
    for (let i = 0; i < 150; i++) {
      client.request(2 * i + 1, '/hang');
      client.windowUpdate(2 * i + 1, 0);
    }
    expect(await client.goAway()).toMatchObject({
      code: ErrorCode.ENHANCE_YOUR_CALM,
      text: 'too many resets',
    });
  });

  it('requests that are started and not finished', async () => {
    const { harness, client } = await start();
    const one = (id: number): void => {
      client.request(id, '/hang');
      for (let i = 0; i < 7; i++) client.send(FrameType.DATA, 0, id, Buffer.alloc(16_000));
    };
    // Requests that end free their memory.
    one(1);
    client.rst(1);
    await expect.poll(() => harness.held.total).toBe(0);
    for (let i = 1; i < 400; i++) one(2 * i + 1);
    expect((await client.goAway()).text).toBe('too many bytes held');
    await client.until(() => client.closed);
    await expect.poll(() => harness.held.total).toBe(0);
  });

  it('responses that the client does not read', async () => {
    const { harness, client } = await start();
    client.setting(SettingId.INITIAL_WINDOW_SIZE, 0);
    for (let i = 0; i < 400; i++) {
      client.request(2 * i + 1, '/echo');
      for (let j = 0; j < 7; j++)
        client.send(FrameType.DATA, j === 6 ? FrameFlag.END_STREAM : 0, 2 * i + 1, Buffer.alloc(16_000));
    }
    expect((await client.goAway()).text).toBe('too many bytes held');
    await client.until(() => client.closed);
    await expect.poll(() => harness.held.total).toBe(0);
  });

  it('no more response data is produced for a connection that is about to be closed', async () => {
    const { harness, client } = await start();
    client.setting(SettingId.INITIAL_WINDOW_SIZE, 0);
    for (let i = 0; i < 20; i++) {
      client.request(2 * i + 1, '/echo');
      for (let j = 0; j < 7; j++)
        client.send(FrameType.DATA, j === 6 ? FrameFlag.END_STREAM : 0, 2 * i + 1, Buffer.alloc(16_000));
    }
    client.request(101, '/bytes/100000000', [], FrameFlag.END_HEADERS | FrameFlag.END_STREAM);
    await expect.poll(() => harness.held.total).toBe(20 * 7 * 16_000);
    for (let i = 0; i < 32; i++) harness.held.account().add(1024 * 1024);
    client.windowUpdate(101, 1_000_000_000);
    expect((await client.goAway()).text).toBe('too many bytes held');
    expect(harness.pulled).toBeLessThan(1_000_000);
  });

  it('endless CONTINUATION frames, empty or full', async () => {
    const { harness, client } = await start();
    client.send(FrameType.HEADERS, 0, 1, RawClient.requestBlock('/echo'));
    client.socket.write(
      Buffer.concat(Array.from({ length: 100 }, () => RawClient.frame(FrameType.CONTINUATION, 0, 1))),
    );
    expect((await client.goAway()).code).toBe(ErrorCode.ENHANCE_YOUR_CALM);
    const other = await harness.connect();
    clients.push(other);
    other.send(FrameType.HEADERS, 0, 1, RawClient.requestBlock('/echo'));
    for (let i = 0; i < 20; i++) other.send(FrameType.CONTINUATION, 0, 1, Buffer.alloc(16_384));
    expect((await other.goAway()).code).toBe(ErrorCode.ENHANCE_YOUR_CALM);
  });

  it('a missing handshake', async () => {
    const { harness } = await start();
    const idle = new RawClient(harness.where);
    clients.push(idle);
    await idle.until(() => idle.of(FrameType.SETTINGS).length === 1);
    harness.clockAhead = 11_000;
    harness.sweep();
    await idle.until(() => idle.closed);
  });
});

describe('keepalive', () => {
  it('the fourth ping without streams is one too many', async () => {
    const { client } = await start();
    for (let i = 0; i < 4; i++) client.send(FrameType.PING, 0, 0, Buffer.alloc(8, i));
    expect(await client.goAway()).toMatchObject({
      code: ErrorCode.ENHANCE_YOUR_CALM,
      text: 'too_many_pings',
    });
  });

  it('pings with a stream are allowed at the minimum interval, and any time after a response', async () => {
    const { harness, client } = await start();
    client.request(1, '/hang');
    for (let i = 0; i < 10; i++) {
      client.send(FrameType.PING, 0, 0, Buffer.alloc(8, i));
      await client.until(() => client.of(FrameType.PING).length === i + 1);
      harness.clockAhead += 5_001;
    }
    for (let i = 10; i < 20; i++) {
      client.request(2 * i + 1, '/bytes/1', [], END_BOTH);
      await client.ended(2 * i + 1);
      client.send(FrameType.PING, 0, 0, Buffer.alloc(8, i));
      await client.until(() => client.of(FrameType.PING).length === i + 1);
    }
    expect(client.of(FrameType.GOAWAY)).toHaveLength(0);
  });

  it('the answer to a ping waits for the next response', async () => {
    const { harness, client } = await start();
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const { socket } = harness.connections[0]!;
    const written = socket.bytesWritten;
    client.request(1, '/sink');
    client.send(FrameType.PING, 0, 0, Buffer.from('12345678'));
    client.message(1, 'x');
    while (harness.received === 0) await setImmediate();
    await setImmediate();
    expect(socket.bytesWritten).toBe(written);
    client.request(3, '/bytes/1', [], END_BOTH);
    await client.ended(3);
    const types = client.frames.map(({ type }) => type);
    expect(types.indexOf(FrameType.PING)).toBe(types.indexOf(FrameType.HEADERS) - 1);
  });

  it('a silent client is pinged and, without an answer, dropped', async () => {
    const { harness, client } = await start({}, { intervalMs: 60_000, timeoutMs: 20_000 });
    harness.sweep();
    harness.clockAhead = 61_000;
    harness.sweep();
    await client.until(() => client.of(FrameType.PING).length === 1);
    client.send(FrameType.PING, FrameFlag.ACK, 0, client.of(FrameType.PING)[0]!.payload);
    client.request(1, '/bytes/1', [], END_BOTH);
    await client.ended(1);
    harness.sweep();
    harness.clockAhead += 61_000;
    harness.sweep();
    await client.until(() => client.of(FrameType.PING).length === 2);
    harness.clockAhead += 20_001;
    harness.sweep();
    await client.until(() => client.closed);
  });
});

describe('graceful shutdown', () => {
  it('running requests and those sent before the final GOAWAY are answered', async () => {
    const { harness, client } = await start();
    client.request(1, '/echo');
    client.send(FrameType.DATA, 0, 1, Buffer.from('abc'));
    await client.until(() => client.data(1).length === 3);
    harness.connections[0]!.shutdown();
    expect(await client.goAway()).toMatchObject({ lastStreamId: 0x7fffffff, code: ErrorCode.NO_ERROR });
    client.request(3, '/bytes/5', [], END_BOTH);
    await client.until(() => client.of(FrameType.PING).length === 1);
    client.send(FrameType.PING, FrameFlag.ACK, 0, client.of(FrameType.PING)[0]!.payload);
    await client.until(() => client.of(FrameType.GOAWAY).length === 2);
    expect(await client.goAway()).toMatchObject({ lastStreamId: 3, code: ErrorCode.NO_ERROR });
    client.request(5, '/bytes/5', [], END_BOTH);
    client.send(FrameType.DATA, FrameFlag.END_STREAM, 1, Buffer.from('def'));
    await client.until(() => client.closed);
    expect(client.data(1).toString()).toBe('abcdef');
    expect(client.data(3)).toHaveLength(5);
    expect(client.of(FrameType.HEADERS, 5)).toHaveLength(0);
  });

  it('a lost connection resets its streams', async () => {
    const { harness, client } = await start();
    client.request(1, '/hang');
    client.request(3, '/bytes/1', [], END_BOTH);
    await client.ended(3);
    client.close();
    await expect.poll(() => harness.closed).toBe(1);
    expect(harness.resets).toEqual([ErrorCode.CANCEL]);
  });

  it('a lost connection resets all of its many streams', async () => {
    const { harness, client } = await start();
    const streams = 3_000;
    for (let id = 1; id < 2 * streams; id += 2) client.request(id, '/hang');
    await expect.poll(() => harness.connections[0]?.activeStreams).toBe(streams);
    client.close();
    await expect.poll(() => harness.resets.length).toBe(streams);
    expect(harness.closed).toBe(1);
  });
});
