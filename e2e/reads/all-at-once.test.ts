import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { SeededRandom } from '../../src/lib/seeded-random.ts';
import {
  CompactionRequest,
  DeleteRangeRequest,
  HashKVResponse,
  PutRequest,
  RangeRequest,
  RangeResponse,
  RangeStreamResponse,
  type RequestOp,
  SnapshotResponse,
  TxnRequest,
  TxnResponse,
  WatchCreateRequest,
  type WatchResponse,
} from '../../src/wire/gen/etcdserverpb.ts';
import { KV, Maintenance, Watch } from '../../src/wire/services.ts';
import { Member, serverUnderTest, servingThreads } from '../harness/member.ts';
import { type Answer, RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';
import { expectedLine, lineOf, StoreModel, valueOf } from './store-model.ts';

const SECONDS = Number(process.env['KEYSTEAD_READS_SECONDS'] ?? 15);
const KEYS = 3_000;
const COMPACTED = 'etcdserver: mvcc: required revision has been compacted';
/** Of the whole process: caches, the store's memory, four snapshots and the heap. */
const MAX_RESIDENT_MIB = 700;

const keyName = (n: number): string => `k${`${n}`.padStart(5, '0')}`;

/** Runs all kinds of reads concurrently with one member. Each response is compared with the model. */
class AllAtOnce {
  readonly model = new StoreModel();
  readonly done = {
    txns: 0,
    ranges: 0,
    streams: 0,
    events: 0,
    resumed: 0,
    snapshots: 0,
    hashes: 0,
    compactions: 0,
  };
  readonly #member: Member;
  readonly #random: SeededRandom;
  readonly #clients: RpcClient[] = [];
  readonly #writer: RpcClient;
  readonly #readers: readonly RpcClient[];
  readonly #hashes = new Map<string, number>();
  #serial = 0;
  /** The newest revision for which a compaction was requested. */
  #compacted = 0;
  #isOver = false;

  constructor(member: Member, seed: number) {
    this.#member = member;
    this.#random = new SeededRandom(seed);
    this.#writer = this.#client();
    this.#readers = [1, 2, 3, 4].map(() => this.#client());
  }

  async run(): Promise<void> {
    for (let n = 0; n < KEYS; n += 100)
      await this.#write(
        Array.from({ length: 100 }, (_, at) => keyName(n + at)),
        0,
      );
    const tasks = [
      this.#repeat(() => this.#mutate()),
      ...[1, 2, 3].map(() => this.#repeat(() => this.#range())),
      ...[1, 2, 3].map(() => this.#repeat(() => this.#rangeStream())),
      ...[1, 2, 3, 4, 5, 6].map((n) => this.#watch(n)),
      this.#repeat(() => this.#compact()),
      this.#repeat(() => this.#defragment()),
      ...[1, 2].map(() => this.#repeat(() => this.#snapshot())),
      ...[1, 2, 3].map(() => this.#repeat(() => this.#hash())),
      sleep(SECONDS * 1_000).then(() => {
        this.#isOver = true;
      }),
    ];
    try {
      await Promise.all(tasks);
    } finally {
      this.#isOver = true;
      for (const client of this.#clients) client.close();
    }
  }

  /** Uses its own connection, so that a slow stream does not delay others. */
  #client(): RpcClient {
    const client = new RpcClient(this.#member.endpoint, {
      timeoutMs: 60_000,
      channel: { 'grpc.use_local_subchannel_pool': 1 },
    });
    this.#clients.push(client);
    return client;
  }

  async #repeat(step: () => Promise<void>): Promise<void> {
    while (!this.#isOver) {
      await step();
      await sleep(this.#random.int(20));
    }
  }

  async #write(keys: readonly string[], deletions: number): Promise<void> {
    const changes = keys.map((key) => {
      const exists = this.model.at(key, this.model.revision) !== undefined;
      return { key, serial: exists && this.#random.chance(deletions) ? undefined : ++this.#serial };
    });
    const success = changes.map(({ key, serial }): RequestOp => {
      const name = Buffer.from(key);
      return serial === undefined
        ? { request: { case: 'requestDeleteRange', value: DeleteRangeRequest.create({ key: name }) } }
        : {
            request: { case: 'requestPut', value: PutRequest.create({ key: name, value: valueOf(serial) }) },
          };
    });
    const [response] = messages<TxnResponse>(
      await this.#writer.unary(KV.methods.txn, TxnRequest.create({ success })),
    );
    this.model.apply(response!.header!.revision, changes);
    this.done.txns += 1;
  }

  async #mutate(): Promise<void> {
    const count = this.#random.between(1, this.#random.chance(0.1) ? 100 : 10);
    await this.#write(
      [...new Set(Array.from({ length: count }, () => keyName(this.#random.int(KEYS))))],
      0.2,
    );
  }

  /** A range of keys and a revision, past or present, as a request has them. */
  #asked(): { start: string; end: string; revision: number; request: Partial<RangeRequest> } {
    const whole = this.#random.chance(0.5);
    const start = whole ? 'k' : keyName(this.#random.int(KEYS));
    const end = whole ? 'l' : keyName(this.#random.between(0, KEYS));
    const oldest = Math.max(this.#compacted, 2);
    const revision = this.#random.chance(0.4)
      ? 0
      : this.#random.between(oldest, Math.max(oldest, this.model.revision));
    return {
      start,
      end,
      revision,
      request: { key: Buffer.from(start), rangeEnd: Buffer.from(end), revision },
    };
  }

  /** The model contains a revision after the writer has its response. */
  async #heard(revision: number): Promise<void> {
    await eventually(`the model at ${revision}`, () => this.model.revision >= revision, {
      everyMs: 1,
      timeoutMs: 60_000,
    });
  }

  /** Whether the refusal of a read is correct. */
  #isCompacted(answer: Answer, revision: number, seen: number): boolean {
    if (!('code' in answer)) return false;
    expect(answer.details).toBe(COMPACTED);
    expect(revision === 0 ? seen : revision).toBeLessThan(this.#compacted);
    return true;
  }

  async #range(): Promise<void> {
    const { start, end, revision, request } = this.#asked();
    const limit = this.#random.pick([0, 0, 1, 500]);
    const keysOnly = this.#random.chance(0.2);
    const countOnly = !keysOnly && this.#random.chance(0.2);
    const client = this.#reader();
    const answer = await client.unary(
      KV.methods.range,
      RangeRequest.create({ ...request, limit, keysOnly, countOnly }),
    );
    if (this.#isCompacted(answer, revision, Infinity)) return;
    const [response] = messages<RangeResponse>(answer);
    const seen = revision === 0 ? response!.header!.revision : revision;
    await this.#heard(seen);
    const expected = this.model.range(start, end, seen);
    const shown = countOnly ? [] : expected.slice(0, limit === 0 ? undefined : limit);
    expect(response!.count).toBe(expected.length);
    expect(response!.more).toBe(!countOnly && limit > 0 && expected.length > limit);
    expectSame(
      response!.kvs.map(lineOf),
      shown.map((change) => expectedLine(change, keysOnly)),
    );
    this.done.ranges += 1;
  }

  /** Returns one of a few shared connections for short calls. */
  #reader(): RpcClient {
    return this.#random.pick(this.#readers);
  }

  async #rangeStream(): Promise<void> {
    const { start, end, revision, request } = this.#asked();
    const call = this.#reader().openServerStream(KV.methods.rangeStream, RangeRequest.create(request));
    const parts: RangeResponse[] = [];
    const isSlow = this.#random.chance(0.3);
    let failed: Answer | undefined;
    try {
      for await (const message of call) {
        parts.push((message as RangeStreamResponse).rangeResponse!);
        if (isSlow) await sleep(this.#random.int(60));
      }
    } catch (error) {
      const { code, details } = error as { code: number; details: string };
      failed = { code, details };
    }
    // Only the last message contains the revision, which is needed for the comparison.
    if (failed !== undefined) {
      this.#isCompacted(failed, revision, 0);
      return;
    }
    const last = parts.at(-1)!;
    const seen = revision === 0 ? last.header!.revision : revision;
    await this.#heard(seen);
    const expected = this.model.range(start, end, seen);
    expect(last.count).toBe(expected.length);
    expectSame(
      parts.flatMap(({ kvs }) => kvs).map(lineOf),
      expected.map((change) => expectedLine(change)),
    );
    this.done.streams += 1;
  }

  /** Watches until the end, starting after the last compaction, sometimes slowly. */
  async #watch(nth: number): Promise<void> {
    const isAll = nth % 2 === 0;
    const start = isAll ? 'k' : keyName(nth * 400);
    const end = isAll ? 'l' : keyName(nth * 400 + 700);
    const client = this.#client();
    let next = this.model.revision + 1;
    while (!this.#isOver) {
      const call = client.openStream(Watch.methods.watch);
      const received: { line: string; revision: number }[] = [];
      const told = { compacted: 0, isCreated: false };
      call.on('error', () => undefined);
      call.on('data', ({ created, canceled, compactRevision, events }: WatchResponse) => {
        told.isCreated ||= created;
        if (canceled) told.compacted = compactRevision;
        for (const { kv, type } of events) {
          const line = type === 1 ? `${kv!.key.toString()} 0 ${kv!.modRevision} 0 -` : lineOf(kv!);
          received.push({ line, revision: kv!.modRevision });
        }
        if (nth > 2 && this.#random.chance(0.2)) {
          call.pause();
          setTimeout(() => call.resume(), this.#random.int(600));
        }
      });
      const create = WatchCreateRequest.create({
        key: Buffer.from(start),
        rangeEnd: Buffer.from(end),
        startRevision: next,
        prevKv: nth > 4,
      });
      call.write({ requestUnion: { case: 'createRequest', value: create } });
      const untilMs = Date.now() + this.#random.between(1_000, 6_000);
      await eventually(
        'a watch of its time',
        () => this.#isOver || told.compacted > 0 || Date.now() > untilMs,
        {
          timeoutMs: 60_000,
        },
      );
      const from = next;
      const isIn = ({ key }: { key: string }): boolean => key >= start && key < end;
      if (this.#isToBeWhole(told)) {
        // The writer is done, so all its events must arrive.
        await sleep(50);
        const upTo = this.model.revision;
        const last = this.model.changes
          .filter((each) => isIn(each) && each.revision >= from && each.revision <= upTo)
          .at(-1);
        await eventually(
          `watch ${nth} at ${last?.revision ?? 0} from ${from}`,
          () => told.compacted > 0 || last === undefined || (received.at(-1)?.revision ?? 0) >= last.revision,
          { timeoutMs: 60_000 },
        );
      }
      call.cancel();
      const seen = received.at(-1)?.revision ?? from - 1;
      await this.#heard(seen);
      const expected = this.model.changes.filter(
        (each) => isIn(each) && each.revision >= from && each.revision <= seen,
      );
      expectSame(
        received.map(({ line }) => line),
        expected.map((change) => expectedLine(change)),
      );
      this.done.events += received.length;
      this.done.resumed += 1;
      next = seen + 1;
      if (told.compacted > 0) {
        expect(next).toBeLessThan(told.compacted);
        next = told.compacted;
      }
    }
  }

  /** Whether a watch must get all events: it is the last one and has started. */
  #isToBeWhole({ isCreated, compacted }: { isCreated: boolean; compacted: number }): boolean {
    return this.#isOver && isCreated && compacted === 0;
  }

  async #compact(): Promise<void> {
    await sleep(this.#random.between(50, 800));
    const revision = this.model.revision - this.#random.int(60);
    if (revision <= this.#compacted) return;
    this.#compacted = revision;
    const request = CompactionRequest.create({ revision, physical: this.#random.chance(0.5) });
    messages(await this.#reader().unary(KV.methods.compact, request));
    this.done.compactions += 1;
  }

  async #defragment(): Promise<void> {
    await sleep(this.#random.between(500, 2_000));
    messages(await this.#reader().unary(Maintenance.methods.defragment, {}));
  }

  /** The same history has the same hash, independent of compactions. */
  async #hash(): Promise<void> {
    const revision = this.#random.chance(0.3) ? 0 : this.model.revision - this.#random.int(20);
    const answer = await this.#reader().unary(Maintenance.methods.hashKv, { revision });
    if (this.#isCompacted(answer, revision, Infinity)) return;
    const [{ hash, compactRevision, hashRevision } = {} as HashKVResponse] = messages<HashKVResponse>(answer);
    const scope = `${hashRevision}/${compactRevision}`;
    const known = this.#hashes.get(scope);
    if (known !== undefined) expect({ scope, hash }).toEqual({ scope, hash: known });
    this.#hashes.set(scope, hash);
    this.done.hashes += 1;
  }

  async #snapshot(): Promise<void> {
    await sleep(this.#random.between(100, 600));
    const call = this.#reader().openServerStream(Maintenance.methods.snapshot, {});
    const isSlow = this.#random.chance(0.3);
    const isGone = this.#random.chance(0.2);
    const sha = createHash('sha256');
    let sum: Buffer | undefined;
    let bytes = 0;
    let remaining = Infinity;
    try {
      for await (const message of call) {
        const { blob, remainingBytes } = message as SnapshotResponse;
        if (remaining === 0) sum = blob;
        else {
          sha.update(blob);
          bytes += blob.length;
        }
        remaining = remainingBytes;
        if (isGone && bytes > 100_000) break;
        if (isSlow && this.#random.chance(0.01)) await sleep(50);
      }
    } finally {
      call.on('error', () => undefined);
      call.cancel();
    }
    if (isGone && sum === undefined) return;
    expect(sum?.toString('hex')).toBe(sha.digest('hex'));
    this.done.snapshots += 1;
  }
}

function messages<R>(answer: Answer): R[] {
  if ('code' in answer) throw new Error(answer.details);
  return answer.messages as R[];
}

/** Of a difference of thousands of lines, only the first is reported. */
function expectSame(actual: readonly string[], expected: readonly string[]): void {
  const at = expected.findIndex((line, n) => actual[n] !== line);
  if (at >= 0) expect({ at, line: actual[at] }).toEqual({ at, line: expected[at] });
  expect(actual).toHaveLength(expected.length);
}

it.each(serverUnderTest === 'keystead' && servingThreads === '' ? ['0', '1'] : [servingThreads])(
  `answers each read as the model does for ${SECONDS} s of everything at once; serving threads: %s`,
  { timeout: SECONDS * 1_000 + 180_000 },
  async (threads) => {
    const seed = Number(process.env['KEYSTEAD_READS_SEED'] ?? Date.now() % 1_000_000);
    const flags = threads === '1' ? ['--keystead-serving-threads=1'] : [];
    const member = await Member.start({ kind: serverUnderTest, flags });
    try {
      const all = new AllAtOnce(member, seed);
      await all.run().catch((error: unknown) => {
        throw new Error(`seed ${seed}: ${String(error)}\n${member.program.tail()}`, { cause: error });
      });
      member.program.mustBeAlive();
      const residentMib = peakResidentMib(member.pid);
      console.log(JSON.stringify({ seed, residentMib, ...all.done }));
      for (const [what, count] of Object.entries(all.done))
        expect({ what, count }).not.toEqual({ what, count: 0 });
      if (serverUnderTest === 'keystead') expect(residentMib).toBeLessThan(MAX_RESIDENT_MIB);
    } finally {
      await member.stop('SIGKILL');
    }
  },
);

function peakResidentMib(pid: number): number {
  const [, kib] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kib) / 1024);
}
