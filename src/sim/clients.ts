import { isError } from '../apply/results.ts';
import type { SeededRandom } from '../lib/seeded-random.ts';
import { EtcdError, errors } from '../wire/errors.ts';
import {
  CompactionRequest,
  DeleteRangeRequest,
  DeleteRangeResponse,
  LeaseGrantRequest,
  PutRequest,
  TxnRequest,
  TxnResponse,
} from '../wire/gen/etcdserverpb.ts';
import { KeyValue } from '../wire/gen/mvccpb.ts';
import type { Leases } from '../server/leases.ts';
import type { Member } from '../server/member.ts';
import { RaftRequestField } from '../server/raft-request.ts';
import type { ApplyResult, Applied } from '../apply/results.ts';
import type { KvRequest, KvResponse, Operation } from './checkers/client-history.ts';
import { compareAndPut, comparedAndPut, foundIn } from './compare-and-put.ts';
import type { SimProcess } from './sim-process.ts';
import type { SimTime } from './time.ts';

/** Number of keys; few, so that clients use the same ones. */
const KEYS = 8;
/** Milliseconds between two requests of one client, on average. */
const THINK_MS = 900;
const RETRY_MS = 100;
/** One of this many values is large. */
const LARGE_EVERY = 4;
const LARGE_BYTES = 3000;
/** TTL in seconds. Leases must expire before the end of a simulation. */
const MAX_TTL = 12;
/** A former leader may renew a lease for the election timeout after another one has been elected. */
const RENEWAL_SLACK_MS = 1000;

export interface ClientsOptions {
  readonly time: SimTime;
  readonly random: SeededRandom;
  readonly count: number;
  readonly processes: () => readonly SimProcess[];
  /** A planted bug: reads are answered without ReadIndex. */
  readonly readsAtOnce: boolean;
}

/** Clients that send random requests to any member and record requests and responses. */
export class Clients {
  readonly history: Operation[] = [];
  readonly #options: ClientsOptions;
  /** The last known value of each key, which transactions compare. */
  readonly #seenMods = new Map<string, number>();
  #values = 0;
  #leases = 0n;
  /** Earliest expiry of each lease in simulated milliseconds, by lease id. */
  readonly #leaseEnds = new Map<bigint, number>();
  #isLeasing = true;
  #stopped = false;

  constructor(options: ClientsOptions) {
    this.#options = options;
    for (let client = 0; client < options.count; client += 1) this.#think(client);
  }

  /** Stops new requests. */
  stop(): void {
    this.#stopped = true;
  }

  /** Stops granting and renewing leases. @returns the existing leases */
  stopLeases(): readonly bigint[] {
    this.#isLeasing = false;
    return [...this.#leaseEnds.keys()];
  }

  /** Earliest expiry of the lease of a key; undefined for keys without a lease. */
  leaseEnd(key: string): number | undefined {
    const id = /^lease(\d+)$/.exec(key)?.[1];
    return id === undefined ? undefined : this.#leaseEnds.get(BigInt(id));
  }

  /** Sends one put, independent of the other requests. */
  put(process: SimProcess, client: number, done: (isDone: boolean) => void): void {
    const value = this.#newValue();
    this.#ask(process, client, { kind: 'put', key: 'k0', value }, done);
  }

  #think(client: number): void {
    const { time, random } = this.#options;
    time.after(-Math.log(1 - random.next()) * THINK_MS, () => {
      if (this.#stopped) return;
      const process = this.#anyProcess();
      if (process === undefined) time.after(RETRY_MS, () => this.#think(client));
      else if (random.chance(0.03)) this.#askAside(process, client);
      else this.#ask(process, client, this.#newRequest(), () => this.#think(client));
    });
  }

  #anyProcess(): SimProcess | undefined {
    const running = this.#options.processes().filter(({ isRunning }) => isRunning);
    return running.length === 0 ? undefined : this.#options.random.pick(running);
  }

  #newValue(): string {
    this.#values += 1;
    // Some values fill a large part of a log segment, so that the next one is needed before it is prepared.
    return `v${this.#values}${this.#values % LARGE_EVERY === 0 ? '.'.repeat(LARGE_BYTES) : ''}`;
  }

  #newRequest(): KvRequest {
    const { random } = this.#options;
    const key = `k${random.int(KEYS)}`;
    const kind = random.next();
    if (kind < 0.4) return { kind: 'put', key, value: this.#newValue() };
    if (kind < 0.75) return { kind: 'get', key };
    if (kind < 0.85) return { kind: 'delete', key };
    return { kind: 'txn', key, ifMod: this.#seenMods.get(key) ?? 0, value: this.#newValue() };
  }

  #ask(process: SimProcess, client: number, request: KvRequest, ended: (isDone: boolean) => void): void {
    const { member } = process;
    if (member === undefined || member.cluster.isLocalLearner) {
      this.#options.time.after(RETRY_MS, () => ended(false));
      return;
    }
    const { time } = this.#options;
    const operation: Operation = {
      client,
      request,
      startedAt: time.now(),
      endedAt: undefined,
      response: undefined,
      refused: false,
    };
    this.history.push(operation);
    const answered = (response: KvResponse): void => {
      operation.endedAt = time.now();
      operation.response = response;
      this.#note(request, response);
      ended(true);
    };
    const failed = (error: Error): void => {
      operation.refused = !isUnknown(error);
      ended(false);
    };
    if (request.kind === 'get') {
      const read = (): void => member.whenOpen(() => answered(readKey(member, request.key)));
      if (this.#options.readsAtOnce) read();
      else member.read({ readable: read, failed: () => ended(false) });
      return;
    }
    const { field, body } = encode(request);
    member.propose(field, body, undefined, {
      settled: (result: ApplyResult) => {
        if (isError(result)) failed(result);
        else answered(responseOf(request, result));
      },
      failed,
    });
  }

  /** Other requests: leases with their own keys, and compactions. */
  #askAside(process: SimProcess, client: number): void {
    const { member } = process;
    const { random, time } = this.#options;
    const next = (): void => this.#think(client);
    if (member === undefined || process.whole === undefined) {
      this.#options.time.after(RETRY_MS, next);
      return;
    }
    const waiter = { settled: next, failed: next };
    if (this.#isLeasing && this.#leaseEnds.size > 0 && random.chance(0.4)) {
      this.#renew(process.whole.leases, random.pick([...this.#leaseEnds.keys()])).then(next, next);
      return;
    }
    if (!this.#isLeasing) {
      // In the quiet period only automatic compaction runs.
      time.after(RETRY_MS, next);
      return;
    }
    if (random.chance(0.5)) {
      const revision = Math.max(1, member.store.revision - random.between(20, 60));
      const body = CompactionRequest.encode({ revision, physical: false });
      member.propose(RaftRequestField.compaction, body, undefined, waiter);
      return;
    }
    this.#leases += 1n;
    const id = this.#leases;
    const ttl = random.between(2, MAX_TTL);
    const endsMs = time.now() + ttl * 1000;
    const body = LeaseGrantRequest.encode({ ttl, id });
    member.propose(RaftRequestField.leaseGrant, body, undefined, {
      failed: next,
      settled: (result) => {
        if (!isError(result)) this.#leaseEnds.set(id, endsMs);
        const put = PutRequest.encode({
          ...PutRequest.create(),
          key: Buffer.from(`lease${id}`),
          value: Buffer.from('leased'),
          lease: id,
        });
        member.propose(RaftRequestField.put, put, undefined, waiter);
      },
    });
  }

  async #renew(leases: Leases, id: bigint): Promise<void> {
    const startedMs = this.#options.time.now();
    const ttl = await leases.renew(id);
    if (ttl === undefined) return;
    const endsMs = startedMs + ttl * 1000 - RENEWAL_SLACK_MS;
    this.#leaseEnds.set(id, Math.max(this.#leaseEnds.get(id) ?? 0, endsMs));
  }

  #note(request: KvRequest, response: KvResponse): void {
    const wrote = request.kind === 'put' || response.succeeded === true;
    this.#seenMods.set(request.key, wrote ? response.revision : (response.found?.mod ?? 0));
  }
}

/** Whether the request may have taken effect or may still do so. */
function isUnknown(error: Error): boolean {
  const unknown: readonly Error[] = [errors.Timeout, errors.TimeoutDueToLeaderFail, errors.Stopped];
  return !(error instanceof EtcdError) || unknown.includes(error);
}

function readKey(member: Member, key: string): KvResponse {
  const { store } = member;
  const meta = store.get(Buffer.from(key));
  if (meta === undefined) return { revision: store.revision };
  return { revision: store.revision, found: foundIn(KeyValue.decode(store.readValue(meta))) };
}

function encode(request: Exclude<KvRequest, { kind: 'get' }>): { field: RaftRequestField; body: Buffer } {
  const key = Buffer.from(request.key);
  switch (request.kind) {
    case 'put': {
      const put = { ...PutRequest.create(), key, value: Buffer.from(request.value) };
      return { field: RaftRequestField.put, body: PutRequest.encode(put) };
    }
    case 'delete':
      return {
        field: RaftRequestField.deleteRange,
        body: DeleteRangeRequest.encode({ ...DeleteRangeRequest.create(), key }),
      };
    case 'txn':
      return { field: RaftRequestField.txn, body: TxnRequest.encode(compareAndPut(request)) };
  }
}

function responseOf(request: KvRequest, { revision, body }: Applied): KvResponse {
  const bytes = Buffer.concat(body.slices);
  if (request.kind === 'delete') return { revision, deleted: DeleteRangeResponse.decode(bytes).deleted };
  if (request.kind !== 'txn') return { revision };
  return { revision, ...comparedAndPut(TxnResponse.decode(bytes)) };
}
