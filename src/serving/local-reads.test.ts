import { MessageChannel } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MemberReads } from '../api/thread-reads.ts';
import { registerKv } from '../api/kv.ts';
import { ApiServer } from '../api/testing/api-server.ts';
import { eventually } from '../../e2e/harness/wait.ts';
import { GrpcServer } from '../grpc/server.ts';
import { TestClient } from '../grpc/test-client.ts';
import { PointReads } from '../mvcc/point-reads.ts';
import { EngineFullError } from '../ports/engine.ts';
import { RocksReader } from '../storage/rocks-reader.ts';
import {
  AuthEnableRequest,
  AuthRoleAddRequest,
  AuthUserAddRequest,
  AuthUserGrantRoleRequest,
  PutRequest,
  RangeRequest,
  type RangeRequestSortOrder,
} from '../wire/gen/etcdserverpb.ts';
import { Auth, KV } from '../wire/services.ts';
import { CoreCalls } from './core-calls.ts';
import { ServingThread } from './serving-thread.ts';

/** A read that takes longer is reported. All do here. */
const SLOW_MS = -1;

let server: ApiServer;
let core: TestClient;
let front: GrpcServer;
let client: TestClient;
let closeThread: () => void;
/** Keys read from the store by the thread. */
let readHere = 0;
/** Whether the thread finds no consistent state. */
let isBusy = false;

beforeEach(async () => {
  readHere = 0;
  isBusy = false;
  server = await ApiServer.start({ flags: ['--bcrypt-cost=4'], register: registerKv });
  core = new TestClient(`127.0.0.1:${server.port}`);
  const { port1, port2 } = new MessageChannel();
  const methods = server.grpc.methods();
  new ServingThread({
    port: port1,
    methods,
    createServer: () => (front = new GrpcServer({ maxReceiveBytes: 2 ** 21 })),
    addresses: () => Promise.resolve([]),
    reads: {
      openStore: (handle) => {
        const rows = RocksReader.attach(handle);
        const reads = new PointReads(rows);
        return {
          read: (keys, maxBytes) => {
            if (isBusy) return undefined;
            readHere += keys.length;
            return reads.read(keys, maxBytes);
          },
          close: () => rows.detach(),
        };
      },
      slowMs: SLOW_MS,
      now: () => performance.now(),
    },
  });
  const calls = new CoreCalls({
    port: port2,
    methods,
    calls: server.grpc,
    serveHttp: () => undefined,
    reads: new MemberReads({
      member: server.member,
      server: server.grpc,
      store: server.store,
      slowCalls: {
        thresholdMs: SLOW_MS,
        report: ({ path, request, response, responseBytes }) => {
          const { key } = RangeRequest.decode(request);
          slow.push({ path, key: key.toString(), hasResponse: response !== undefined, responseBytes });
        },
      },
    }),
    onControl: (message) => {
      if ((message as { kind: string }).kind === 'returned') calls.storeReturned();
    },
  });
  closeThread = () => {
    front.close();
    calls.storeReturned();
    setImmediate(() => port1.close());
  };
  client = new TestClient(`127.0.0.1:${await front.listen({ host: '127.0.0.1', port: 0 })}`);
  slow.length = 0;
});

afterEach(async () => {
  client.close();
  core.close();
  closeThread();
  await server.stop();
});

const slow: unknown[] = [];

const put = (key: string, value: string) =>
  core.unary(
    KV.methods.put.path,
    PutRequest.encode(PutRequest.create({ key: Buffer.from(key), value: Buffer.from(value) })),
  );

const encoded = (request: Partial<RangeRequest>) => RangeRequest.encode(RangeRequest.create(request));
const get = (key: string, more: Partial<RangeRequest> = {}) =>
  client.unary(KV.methods.range.path, encoded({ key: Buffer.from(key), ...more }));

const rangeStats = () => {
  const stats = server.grpc.methodStats().find(({ method }) => method === 'Range');
  const { started = 0, messagesReceived = 0, messagesSent = 0, handled = [] } = stats ?? {};
  return { started, messagesReceived, messagesSent, handled: handled.slice(0, 6) };
};

describe('a serving thread that reads the store', () => {
  it.each<[string, Partial<RangeRequest>]>([
    ['a key', {}],
    ['a key without a leader', { serializable: true }],
    ['a key with a limit', { limit: 3 }],
    ['a missing key', { key: Buffer.from('none') }],
  ])('answers as the core: %s', async (_name, more) => {
    await put('key', 'value');
    await put('key', 'other');
    const request = encoded({ key: Buffer.from('key'), ...more });
    const there = await core.unary(KV.methods.range.path, request);
    expect(await client.unary(KV.methods.range.path, request)).toEqual(there);
    expect(readHere).toBe(1);
  });

  it.each<[string, Partial<RangeRequest>, string?]>([
    ['no key', { key: Buffer.alloc(0) }],
    ['several keys', { rangeEnd: Buffer.from('l') }],
    ['a past revision', { revision: 2 }],
    ['a future revision', { revision: 99 }],
    ['a revision below 0', { revision: -1 }],
    ['only the number', { countOnly: true }],
    ['only the key', { keysOnly: true }],
    ['a filter', { minModRevision: 9 }],
    ['filters that add up to 0', { minModRevision: -9, maxModRevision: 9 }],
    ['an unknown order', { sortOrder: 7 as RangeRequestSortOrder }],
    ['a negative limit', { limit: -1 }],
    ['a long key', { key: Buffer.alloc(20_000, 'k') }],
    ['the leader', {}, 'hasleader'],
  ])('leaves a request to the core: %s', async (_name, more, header) => {
    await put('key', 'value');
    await put('key', 'other');
    const request = encoded({ key: Buffer.from('key'), ...more });
    const metadata: Record<string, string> = header === undefined ? {} : { [header]: 'true' };
    const there = await core.unary(KV.methods.range.path, request, { metadata });
    expect(await client.unary(KV.methods.range.path, request, { metadata })).toEqual(there);
    expect(readHere).toBe(0);
  });

  it('leaves a large value, a faulty request and a busy store to the core', async () => {
    await put('key', 'v'.repeat(200_000));
    const there = await core.unary(KV.methods.range.path, encoded({ key: Buffer.from('key') }));
    expect(await get('key')).toEqual(there);
    const faulty = Buffer.from([0x0a, 0x05, 0x01]);
    expect(await client.unary(KV.methods.range.path, faulty)).toEqual(
      await core.unary(KV.methods.range.path, faulty),
    );
    isBusy = true;
    expect(await get('key')).toEqual(there);
  });

  it('sees each write that was acknowledged before', async () => {
    for (let round = 0; round < 50; round += 1) {
      await put('key', `${round}`);
      const { message } = await get('key');
      expect(message?.includes(Buffer.from(`${round}`))).toBe(true);
    }
    expect(readHere).toBe(50);
  });

  it('counts and reports its reads in the core', async () => {
    await put('key', 'value');
    const before = server.grpc.counters.messageBytesSent;
    const { message } = await get('key');
    await get('none');
    await eventually('two counted reads', () => rangeStats().started === 2);
    expect(rangeStats()).toEqual({
      started: 2,
      messagesReceived: 2,
      messagesSent: 2,
      handled: [2, 0, 0, 0, 0, 0],
    });
    expect(server.grpc.counters.messageBytesSent).toBeGreaterThan(before + (message?.length ?? 0));
    expect(server.member.metrics.mvcc.rangeTotal).toBe(2);
    await eventually('two reports', () => slow.length === 2);
    expect(slow[0]).toEqual({
      path: '/etcdserverpb.KV/Range',
      key: 'key',
      hasResponse: true,
      responseBytes: message?.length,
    });
  });

  it('fails a read with the error of the core', async () => {
    await put('key', 'value');
    expect(await get('key')).toMatchObject({ code: 0 });
    server.member.stop();
    const there = await core.unary(KV.methods.range.path, encoded({ key: Buffer.from('key') }));
    expect(there.details).toBe('etcdserver: server stopped');
    expect(await get('key')).toEqual(there);
    expect(readHere).toBe(1);
    await eventually('three counted reads', () => rangeStats().started === 3);
    expect(rangeStats()).toMatchObject({ messagesReceived: 3, messagesSent: 3 });
  });

  it('returns the store before it is closed, and gets it again', async () => {
    await put('key', 'value');
    await get('key');
    const reopened = vi.spyOn(server.store, 'reopen');
    vi.spyOn(server.store, 'batch').mockImplementationOnce(() => {
      throw new EngineFullError('no space left');
    });
    // The put is applied once the member has opened its store again.
    expect(await put('key', 'other')).toMatchObject({ code: 0 });
    expect(reopened).toHaveBeenCalledOnce();
    const { code, message } = await get('key');
    expect(code).toBe(0);
    expect(message?.includes(Buffer.from('other'))).toBe(true);
    expect(readHere).toBe(2);
  });

  it('leaves all reads to the core while users have permissions', async () => {
    await put('key', 'value');
    expect(await get('key')).toMatchObject({ code: 0 });
    const { methods } = Auth;
    await core.unary(methods.roleAdd.path, AuthRoleAddRequest.encode({ name: 'root' }));
    await core.unary(
      methods.userAdd.path,
      AuthUserAddRequest.encode(AuthUserAddRequest.create({ name: 'root', password: 'root' })),
    );
    await core.unary(
      methods.userGrantRole.path,
      AuthUserGrantRoleRequest.encode({ user: 'root', role: 'root' }),
    );
    expect(await core.unary(methods.authEnable.path, AuthEnableRequest.encode({}))).toMatchObject({
      code: 0,
    });
    const there = await core.unary(KV.methods.range.path, encoded({ key: Buffer.from('key') }));
    expect(there).toMatchObject({ code: 3, details: 'etcdserver: user name is empty' });
    expect(await get('key')).toEqual(there);
    expect(readHere).toBe(1);
  });
});
