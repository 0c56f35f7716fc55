import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { collect, TestClient } from '../grpc/test-client.ts';
import {
  CompactionRequest,
  PutRequest,
  RangeRequest,
  RangeResponse,
  RangeStreamResponse,
  type RequestOp,
  TxnRequest,
} from '../wire/gen/etcdserverpb.ts';
import type { KeyValue } from '../wire/gen/mvccpb.ts';
import { KV } from '../wire/services.ts';
import { registerKv } from './kv.ts';
import { ApiServer } from './testing/api-server.ts';

const ALL = { key: Buffer.from('k'), rangeEnd: Buffer.from('l') };

interface Streamed {
  readonly kvs: readonly KeyValue[];
  readonly count: number;
  readonly more: boolean;
  /** Number of KeyValues of each message. */
  readonly lengths: readonly number[];
  readonly bytes: readonly number[];
  readonly error: string | undefined;
}

interface Sizes {
  readonly keys: number;
  /** Operations of a transaction. */
  readonly maxOps: number;
  /** Milliseconds that a compaction has time to remove too much. */
  readonly waitMs: number;
  /** Number of values of 400 kB. */
  readonly largeValues: number;
}

export function rangeStreamCases({ keys, maxOps, waitMs, largeValues }: Sizes): void {
  let server: ApiServer;
  let client: TestClient;

  beforeAll(async () => {
    const flags = ['--max-txn-ops', `${maxOps}`, '--keystead-max-held-bytes', `${2 ** 28}`];
    server = await ApiServer.start({ flags, register: registerKv });
    client = new TestClient(`127.0.0.1:${server.port}`, undefined, { 'grpc.max_receive_message_length': -1 });
  });

  afterAll(async () => {
    client.close();
    await server.stop();
  });

  afterEach(() => vi.restoreAllMocks());

  /** Writes the same value to all keys, some thousands at one revision. */
  async function overwrite(value: string): Promise<void> {
    for (let from = 0; from < keys; from += maxOps) {
      const success = Array.from({ length: maxOps }, (_, n): RequestOp => {
        const key = Buffer.from(`k${`${from + n}`.padStart(6, '0')}`);
        const value_ = PutRequest.create({ key, value: Buffer.from(value) });
        return { request: { case: 'requestPut', value: value_ } };
      });
      const { details, code } = await client.unary(
        KV.methods.txn.path,
        TxnRequest.encode(TxnRequest.create({ success })),
      );
      expect({ code, details }).toMatchObject({ code: 0 });
    }
  }

  async function streamed(request: Partial<RangeRequest>): Promise<Streamed> {
    const bytes = RangeRequest.encode(RangeRequest.create({ ...ALL, ...request }));
    const { messages, code, details } = await collect(
      client.serverStream(KV.methods.rangeStream.path, bytes),
    );
    const parts = messages.map((message) => RangeStreamResponse.decode(message).rangeResponse!);
    return {
      kvs: parts.flatMap(({ kvs }) => kvs),
      count: parts.at(-1)?.count ?? 0,
      more: parts.at(-1)?.more ?? false,
      lengths: parts.map(({ kvs }) => kvs.length),
      bytes: messages.map(({ length }) => length),
      error: code === 0 ? undefined : details,
    };
  }

  /** Pauses scans of many keys in the middle until `goOn` is called. */
  function stopScans({ member: { store } }: ApiServer): { readonly stopped: () => number; goOn: () => void } {
    const begin = store.scan.bind(store);
    let isOpen = false;
    let stopped = 0;
    vi.spyOn(store, 'scan').mockImplementation((...args) => {
      const scan = begin(...args);
      if (args[0].limit < keys / 2) return scan;
      const step = scan.step.bind(scan);
      let isBegun = false;
      scan.step = (maxKeys) => {
        if (isOpen) return step(maxKeys);
        if (isBegun) return false;
        isBegun = true;
        stopped += 1;
        return step(10);
      };
      return scan;
    });
    const goOn = (): void => {
      isOpen = true;
    };
    return { stopped: () => stopped, goOn };
  }

  it('a compaction removes nothing that a running scan still needs', async () => {
    await overwrite('before');
    const { store } = server.member;
    const scans = stopScans(server);
    const reading = streamed({});
    await expect.poll(scans.stopped, { timeout: 10_000 }).toBe(1);
    await overwrite('after');
    const { revision } = store;
    const compact = client.unary(
      KV.methods.compact.path,
      CompactionRequest.encode({ revision, physical: true }),
    );
    await expect.poll(() => store.compactRevision).toBe(revision);
    // Long enough for a removal that would not wait.
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    expect(store.meta.finishedRevision).toBeLessThan(revision);
    scans.goOn();
    const { kvs, count, error } = await reading;
    expect([kvs.length, count, error]).toEqual([keys, keys, undefined]);
    expect(new Set(kvs.map(({ value }) => value.toString()))).toEqual(new Set(['before']));
    await compact;
    expect(store.meta.finishedRevision).toBe(revision);
  });

  it('a missing value ends only its own stream', async () => {
    await overwrite('before');
    const scans = stopScans(server);
    const { engine } = server.member.store;
    const reading = streamed({});
    await expect.poll(scans.stopped, { timeout: 10_000 }).toBe(1);
    vi.spyOn(engine, 'getMany').mockImplementation((_column, keys) => keys.map(() => undefined));
    scans.goOn();
    expect((await reading).error).toBe('etcdserver: mvcc: required revision has been compacted');
    vi.restoreAllMocks();
    expect((await streamed({})).kvs).toHaveLength(keys);
  });

  it('messages keep about the target size when values become much larger', async () => {
    const large = Buffer.alloc(400_000, 'x');
    for (let n = 0; n < largeValues; n += 1) {
      const put = PutRequest.create({ key: Buffer.from(`k9${`${n}`.padStart(4, '0')}`), value: large });
      expect((await client.unary(KV.methods.put.path, PutRequest.encode(put))).code).toBe(0);
    }
    const { kvs, count, bytes, error } = await streamed({});
    expect(error).toBeUndefined();
    expect([kvs.length, count]).toEqual([keys + largeValues, keys + largeValues]);
    expect(Math.max(...bytes)).toBeLessThan(2 * server.member.config.maxRequestBytes + 500_000);
  });

  describe('of 200 objects of 10 KB', () => {
    const range = { key: Buffer.from('m'), rangeEnd: Buffer.from('n') };
    const put = async (from: number, to: number, fill: string): Promise<void> => {
      const success = Array.from({ length: to - from }, (_, n): RequestOp => {
        const key = Buffer.from(`m${`${from + n}`.padStart(4, '0')}`);
        return {
          request: {
            case: 'requestPut',
            value: PutRequest.create({ key, value: Buffer.alloc(10_000, fill) }),
          },
        };
      });
      const { code } = await client.unary(
        KV.methods.txn.path,
        TxnRequest.encode(TxnRequest.create({ success })),
      );
      expect(code).toBe(0);
    };

    beforeAll(async () => {
      await put(0, 100, 'a');
      await put(100, 200, 'b');
    });

    it.each([0, 1, 9, 10, 11, 30, 31, 79, 80, 81, 150, 151, 199, 200, 201, 1000])(
      'a stream with the limit %i has what a range has',
      async (limit) => {
        const request = { ...range, limit };
        const whole = RangeResponse.decode(
          (await client.unary(KV.methods.range.path, RangeRequest.encode(RangeRequest.create(request))))
            .message!,
        );
        const { kvs, count, more } = await streamed(request);
        expect(kvs).toEqual(whole.kvs);
        expect([count, more]).toEqual([whole.count, whole.more]);
      },
    );

    // Each message was a scan of its own, which takes longer to begin than to find the keys of a message.
    it('has longer and longer messages, and one scan for several of them', async () => {
      const scan = vi.spyOn(server.member.store, 'scan');
      const { lengths } = await streamed(range);
      expect(lengths).toEqual([10, 20, 40, 80, 50]);
      expect(scan).toHaveBeenCalledTimes(2);
    });

    it('keeps its revision when the keys of later messages are overwritten and deleted', async () => {
      const { store } = server.member;
      const request = RangeRequest.encode(RangeRequest.create(range));
      const before = await streamed(range);
      const call = client.serverStream(KV.methods.rangeStream.path, request);
      const parts: Buffer[] = [];
      const ended = new Promise((resolve) => call.on('end', resolve));
      call.once('data', (first: Buffer) => {
        parts.push(first);
        call.pause();
      });
      await expect.poll(() => parts.length).toBe(1);
      const { revision } = store;
      await put(100, 200, 'c');
      expect(store.revision).toBeGreaterThan(revision);
      call.on('data', (part: Buffer) => parts.push(part));
      call.resume();
      await ended;
      const kvs = parts.flatMap((part) => RangeStreamResponse.decode(part).rangeResponse!.kvs);
      expect(kvs).toEqual(before.kvs);
    });
  });
}
