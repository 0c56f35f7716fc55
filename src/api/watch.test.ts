import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Scheduler } from '../ports/scheduler.ts';
import { errors } from '../wire/errors.ts';
import {
  WatchCancelRequest,
  WatchCreateRequest,
  WatchProgressRequest,
  WatchRequest,
  WatchResponse,
} from '../wire/gen/etcdserverpb.ts';
import { Watch } from '../wire/services.ts';
import { LeaderMonitor } from './leader-monitor.ts';
import { WatchServer } from './testing/watch-server.ts';
import type { WatchDeps } from './watch.ts';

/** A watch stream of the reference client, and the responses it has received. */
class TestStream {
  readonly responses: WatchResponse[] = [];
  status: { code: number; details: string } | undefined;
  readonly call: grpc.ClientDuplexStream<Buffer, Buffer>;

  constructor(client: grpc.Client, metadata: Record<string, string> = {}) {
    const raw = (bytes: Buffer): Buffer => bytes;
    this.call = client.makeBidiStreamRequest(Watch.methods.watch.path, raw, raw, metadataOf(metadata));
    this.call.on('data', (bytes: Buffer) => this.responses.push(WatchResponse.decode(bytes)));
    this.call.on('error', () => undefined);
    this.call.on('status', ({ code, details }) => (this.status = { code, details }));
  }

  create(request: Partial<WatchCreateRequest>): void {
    this.#send({ case: 'createRequest', value: WatchCreateRequest.create(request) });
  }

  cancel(watchId: bigint): void {
    this.#send({ case: 'cancelRequest', value: WatchCancelRequest.create({ watchId }) });
  }

  progress(): void {
    this.#send({ case: 'progressRequest', value: WatchProgressRequest.create() });
  }

  #send(requestUnion: WatchRequest['requestUnion']): void {
    this.call.write(WatchRequest.encode({ requestUnion }));
  }

  /** Waits for this many responses in total and returns them in short form. */
  async told(count: number): Promise<string[]> {
    await vi.waitFor(() => expect(this.responses.length).toBeGreaterThanOrEqual(count), 5_000);
    return this.responses.map(inShort);
  }

  async ended(): Promise<{ code: number; details: string }> {
    await vi.waitFor(() => expect(this.status).toBeDefined(), 5_000);
    return this.status!;
  }
}

function metadataOf(values: Record<string, string>): grpc.Metadata {
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(values)) metadata.set(name, value);
  return metadata;
}

/** `watch id@header revision: content`. */
function inShort(response: WatchResponse): string {
  const { header, watchId, created, canceled, compactRevision, cancelReason, fragment, events } = response;
  const words = [
    ...(created ? ['created'] : []),
    ...(canceled ? ['canceled'] : []),
    ...(compactRevision > 0 ? [`compacted ${compactRevision}`] : []),
    ...(cancelReason === '' ? [] : [cancelReason]),
    ...(fragment ? ['fragment'] : []),
    ...events.map(({ type, kv, prevKv }) => {
      const value = kv!.value.length > 9 ? kv!.value.length : kv!.value.toString();
      const change = type === 1 ? `-${kv!.key.toString()}` : `${kv!.key.toString()}=${value}`;
      return `${change}@${kv!.modRevision}${prevKv === undefined ? '' : ` was ${prevKv.value.toString()}`}`;
    }),
  ];
  return `${watchId}@${header!.revision}: ${words.join(' ')}`.trim();
}

/** A scheduler that runs nothing by itself. */
function idleScheduler(
  taken: { soon?: (task: () => void) => void; every?: (task: () => void) => void } = {},
): Scheduler {
  return {
    soon: (task) => taken.soon?.(task),
    after: () => () => undefined,
    every: (_intervalMs, task) => {
      taken.every?.(task);
      return () => undefined;
    },
  };
}

describe('Watch', () => {
  const stops: (() => void)[] = [];
  afterEach(() => {
    for (const stop of stops.splice(0)) stop();
  });

  async function setUp(
    deps: Partial<WatchDeps> = {},
  ): Promise<{ server: WatchServer; open: (metadata?: Record<string, string>) => TestStream }> {
    const server = await new WatchServer(deps).start();
    const options = { 'grpc.max_receive_message_length': -1 };
    const client = new grpc.Client(`127.0.0.1:${server.port}`, grpc.credentials.createInsecure(), options);
    stops.push(() => {
      client.close();
      server.close();
    });
    return { server, open: (metadata) => new TestStream(client, metadata) };
  }

  const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

  it('sends past events and then new ones', async () => {
    const { server, open } = await setUp();
    server.put('a', '1');
    server.put('a', '2');
    server.delete('a');
    const stream = open();
    stream.create({ key: bytes('a'), startRevision: 2, prevKv: true });
    await stream.told(2);
    stream.create({ key: bytes(''), rangeEnd: bytes('\0') });
    await stream.told(3);
    server.put('a', '3');
    server.put('b', '');
    expect(await stream.told(6)).toEqual([
      '0@4: created',
      '0@4: a=1@2 a=2@3 was 1 -a@4 was 2',
      '1@4: created',
      '0@5: a=3@5',
      '1@5: a=3@5',
      '1@6: b=@6',
    ]);
    expect(stream.responses[0]!.header).toMatchObject({ clusterId: 1n, memberId: 2n, raftTerm: 3 });
  });

  it('assigns watch IDs, and accepts IDs from the client', async () => {
    const { open } = await setUp();
    const stream = open();
    for (const watchId of [1n, 0n, 0n, 2n, -7n]) stream.create({ key: bytes('a'), watchId });
    stream.cancel(0n);
    stream.cancel(0n);
    stream.create({ key: bytes('a') });
    expect(await stream.told(7)).toEqual([
      '1@1: created',
      '0@1: created',
      '2@1: created',
      '-1@1: created canceled mvcc: duplicate watch ID provided on the WatchStream',
      '-7@1: created',
      '0@1: canceled',
      '3@1: created',
    ]);
  });

  it('refuses watches that are invalid or not permitted', async () => {
    const denials = [errors.PermissionDenied, errors.InvalidAuthToken, errors.NoLeader];
    const { open } = await setUp({
      checkWatch: (_call, key) => {
        const denial = denials[Number(key.toString())];
        // One kind of token is verified at once, the other asynchronously.
        if (key[0] === 0x30 && denial !== undefined) throw denial;
        return denial === undefined ? undefined : Promise.reject(denial);
      },
    });
    const stream = open();
    stream.create({ key: bytes('z'), startRevision: -1 });
    stream.create({ key: bytes('z'), rangeEnd: bytes('z') });
    for (const key of ['0', '1', '2', 'y']) stream.create({ key: bytes(key) });
    const denied = 'code = PermissionDenied desc = etcdserver: permission denied';
    expect(await stream.told(6)).toEqual([
      '-1@1: created canceled etcdserver: mvcc: required revision has been compacted',
      '-1@1: created canceled mvcc: watcher range is empty',
      `-1@1: created canceled rpc error: ${denied}`,
      '-1@1: created canceled rpc error: code = Unauthenticated desc = etcdserver: invalid auth token',
      `-1@1: created canceled rpc error: ${denied}`,
      '0@1: created',
    ]);
  });

  it('cancels a watch of a compacted revision; its ID stays in use until the client cancels it', async () => {
    const { server, open } = await setUp();
    for (let n = 0; n < 5; n += 1) server.put('a', `${n}`);
    server.compact(4);
    const stream = open();
    stream.create({ key: bytes('a'), startRevision: 3 });
    await stream.told(2);
    stream.progress();
    stream.create({ key: bytes('a') });
    stream.cancel(0n);
    stream.progress();
    expect(await stream.told(5)).toEqual([
      '0@6: created',
      '0@0: canceled compacted 4',
      '1@6: created',
      '0@6: canceled',
      '-1@6:',
    ]);
  });

  it('reports progress once all watches of the stream are current', async () => {
    const steps: (() => void)[] = [];
    const { server, open } = await setUp({ scheduler: idleScheduler({ soon: (task) => steps.push(task) }) });
    server.put('a', '1');
    const stream = open();
    stream.progress();
    stream.create({ key: bytes('a'), startRevision: 2 });
    stream.progress();
    stream.create({ key: bytes('a'), startRevision: 3 });
    await stream.told(2);
    for (const step of steps) step();
    stream.progress();
    stream.create({ key: bytes('x') });
    await stream.told(4);
    server.put('a', '2');
    stream.progress();
    expect(await stream.told(7)).toEqual([
      ...['0@2: created', '1@2: created', '0@2: a=1@2', '2@2: created'],
      ...['1@3: a=2@3', '0@3: a=2@3', '-1@3:'],
    ]);
  });

  // 250 watches that arrived in one chunk were created in one turn of 20 ms.
  it('creates at most 32 watches of a stream in a turn, and all of them in order', async () => {
    const turns: (() => void)[] = [];
    const { open } = await setUp({ scheduler: idleScheduler({ soon: (task) => turns.push(task) }) });
    const stream = open();
    for (let n = 0; n < 100; n += 1) stream.create({ key: bytes(`k${n}`) });
    stream.call.end();
    for (const created of [32, 64, 96, 100]) {
      await stream.told(created);
      await vi.waitFor(() => expect(turns.length).toBeGreaterThan(0));
      expect(stream.responses.map(({ watchId }) => Number(watchId))).toEqual([...Array(created).keys()]);
      for (const turn of turns.splice(0)) turn();
    }
  });

  it('reports progress periodically when there are no events', async () => {
    const { server, open } = await setUp({ progressIntervalMs: 1 });
    const stream = open();
    stream.create({ key: bytes('a'), progressNotify: true });
    stream.create({ key: bytes('a') });
    stream.create({ key: bytes('a'), startRevision: 99, progressNotify: true });
    expect(await stream.told(5)).toEqual([
      ...['0@1: created', '1@1: created', '2@1: created'],
      ...['0@1:', '0@1:'],
    ]);
    server.put('b', '');
    await vi.waitFor(() => expect(inShort(stream.responses.at(-1)!)).toBe('0@2:'));
  });

  it('skips a progress report after an event', async () => {
    const ticks: (() => void)[] = [];
    const { server, open } = await setUp({
      scheduler: idleScheduler({ every: (task) => ticks.push(task) }),
    });
    const stream = open();
    stream.create({ key: bytes('a'), progressNotify: true });
    await stream.told(1);
    server.put('a', '1');
    for (let n = 0; n < 2; n += 1) for (const tick of ticks) tick();
    stream.cancel(0n);
    expect(await stream.told(4)).toEqual(['0@1: created', '0@2: a=1@2', '0@2:', '0@2: canceled']);
  });

  it('splits large responses into fragments for clients that ask for it', async () => {
    const { server, open } = await setUp({ maxRequestBytes: 1000 });
    server.apply([(txn) => ['a', 'b', 'c'].forEach((key) => txn.put(bytes(key), Buffer.alloc(250_000), 0n))]);
    const stream = open();
    stream.create({ key: bytes('a'), rangeEnd: bytes('\0'), startRevision: 1, fragment: true });
    stream.create({ key: bytes('a'), rangeEnd: bytes('\0'), startRevision: 1 });
    expect((await stream.told(5)).sort()).toEqual([
      '0@2: c=250000@2',
      '0@2: created',
      '0@2: fragment a=250000@2 b=250000@2',
      '1@2: a=250000@2 b=250000@2 c=250000@2',
      '1@2: created',
    ]);
  });

  it('continues after the client half-closes the stream', async () => {
    const { server, open } = await setUp();
    const stream = open();
    stream.create({ key: bytes('a') });
    stream.call.end();
    await stream.told(1);
    server.put('a', '1');
    expect(await stream.told(2)).toEqual(['0@1: created', '0@2: a=1@2']);
    stream.call.cancel();
    await vi.waitFor(() => expect(server.hub.counters).toMatchObject({ watchers: 0, outlets: 0 }));
  });

  it('ends a stream whose request cannot be decoded', async () => {
    const { server, open } = await setUp();
    const stream = open();
    stream.create({ key: bytes('a') });
    stream.call.write(Buffer.from([0xff]));
    expect(await stream.ended()).toEqual({
      code: grpc.status.INTERNAL,
      details: 'grpc: failed to unmarshal the received message: proto: cannot parse invalid wire-format data',
    });
    expect(server.hub.counters).toMatchObject({ watchers: 0, outlets: 0 });
  });

  it('stops for a client that does not read, and sends everything when it reads again', async () => {
    const { server, open } = await setUp();
    const slow = open();
    const fast = open();
    for (const stream of [slow, fast]) {
      stream.create({ key: bytes('a') });
      await stream.told(1);
    }
    slow.call.pause();
    const count = 100;
    for (let n = 0; n < count; n += 1) {
      server.put('a', `${n}`.padEnd(50_000, '.'));
      if (n % 10 === 0) await new Promise((wake) => setImmediate(wake));
    }
    await vi.waitFor(() => expect(values(fast)).toHaveLength(count), 15_000);
    expect(server.hub.counters.slowWatchers).toBe(1);
    expect(values(slow).length).toBeLessThan(count);
    slow.call.resume();
    await vi.waitFor(() => expect(values(slow)).toHaveLength(count), 15_000);
    expect(values(slow)).toEqual(values(fast));
    expect(server.hub.counters.slowWatchers).toBe(0);
  });

  it('refuses clients that require a leader while there is none', async () => {
    let hasLeader = false;
    let tick = (): void => undefined;
    const monitor = new LeaderMonitor({
      scheduler: idleScheduler({ every: (task) => (tick = task) }),
      electionTimeoutMs: 1000,
      hasLeader: () => hasLeader,
    });
    const { server, open } = await setUp({
      hasLeader: () => hasLeader,
      onLeaderLost: (lost) => monitor.onLost(lost),
    });
    const noLeader = { code: grpc.status.UNAVAILABLE, details: 'etcdserver: no leader' };
    expect(await open({ hasleader: 'true' }).ended()).toEqual(noLeader);
    hasLeader = true;
    const [asking, other] = [open({ hasleader: 'true' }), open()];
    for (const stream of [asking, other]) {
      stream.create({ key: bytes('a') });
      await stream.told(1);
    }
    for (const leader of [false, false, true, false, false]) {
      hasLeader = leader;
      tick();
    }
    expect(server.hub.counters.outlets).toBe(2);
    tick();
    expect(await asking.ended()).toEqual(noLeader);
    expect(server.hub.counters.outlets).toBe(1);
    expect(other.status).toBeUndefined();
  });

  it('is not served by a learner', async () => {
    const { open } = await setUp({ isLearner: () => true });
    const { code, message } = errors.NotSupportedForLearner;
    expect(await open().ended()).toEqual({ code, details: message });
  });
});

function values(stream: TestStream): string[] {
  return stream.responses.flatMap(({ events }) => events.map(({ kv }) => kv!.value.toString()));
}
