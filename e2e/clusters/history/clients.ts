import { setTimeout as sleep } from 'node:timers/promises';
import { SeededRandom } from '../../../src/lib/seeded-random.ts';
import type { KvRequest, KvResponse, Operation } from '../../../src/sim/checkers/client-history.ts';
import { compareAndPut, comparedAndPut, foundIn } from '../../../src/sim/compare-and-put.ts';
import { GrpcCode } from '../../../src/wire/errors.ts';
import {
  DeleteRangeRequest,
  type DeleteRangeResponse,
  PutRequest,
  RangeRequest,
  type RangeResponse,
  type ResponseHeader,
  type TxnResponse,
} from '../../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../../src/wire/services.ts';
import { type Answer, RpcClient } from '../../harness/rpc-client.ts';
import { nameOf, onTheWire } from './values.ts';

/** Number of keys; few, so that clients use the same ones. */
const KEYS = 10;
/** Milliseconds between two requests of one client, at the most. */
const THINK_MS = 20;
const TIMEOUT_MS = 2_000;
/** Connects to a restarted member soon, and never retries a request without recording it in the history. */
const CHANNEL = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 500,
  'grpc.enable_retries': 0,
  'grpc.use_local_subchannel_pool': 1,
};

/** Clients that send random requests to any member and record each request, its time and its response. */
export class HistoryClients {
  readonly history: Operation[] = [];
  readonly #random: SeededRandom;
  readonly #valueBytes: readonly number[];
  readonly #running: Promise<void>[] = [];
  /** The last known value of each key, which transactions compare. */
  readonly #seenMods = new Map<string, number>();
  #values = 0;
  #stopped = false;

  /** @param valueBytes sizes that values are padded to in turn */
  constructor(
    endpoints: readonly string[],
    count: number,
    seed: number,
    valueBytes: readonly number[] = [0],
  ) {
    this.#random = new SeededRandom(seed);
    this.#valueBytes = valueBytes;
    for (let client = 0; client < count; client += 1) this.#running.push(this.#run(client, endpoints));
  }

  get answered(): number {
    return this.history.filter(({ response }) => response !== undefined).length;
  }

  /** Stops after the pending requests have ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  async #run(client: number, endpoints: readonly string[]): Promise<void> {
    const options = { timeoutMs: TIMEOUT_MS, channel: CHANNEL };
    const members = endpoints.map((endpoint) => new RpcClient(endpoint, options));
    while (!this.#stopped) {
      await sleep(this.#random.next() * THINK_MS);
      await this.#ask(client, this.#random.pick(members));
    }
    for (const member of members) member.close();
  }

  async #ask(client: number, member: RpcClient): Promise<void> {
    const request = this.#newRequest();
    const serializable = request.kind === 'get' && this.#random.chance(0.3);
    const operation: Operation = {
      client,
      request,
      endedAt: undefined,
      response: undefined,
      refused: false,
      startedAt: performance.now(),
    };
    this.history.push(operation);
    const answer = await send(member, this.#padded(request), serializable);
    const endedAt = performance.now();
    if (!('messages' in answer)) {
      operation.refused = isRefusal(answer);
      return;
    }
    const response = responseOf(request, answer.messages[0]);
    operation.response = response;
    // A serializable read is right at its revision, which may be any: as one that never ended it has no place in time.
    if (!serializable) operation.endedAt = endedAt;
    const wrote = request.kind === 'put' || response.succeeded === true;
    this.#seenMods.set(request.key, wrote ? response.revision : (response.found?.mod ?? 0));
  }

  #newRequest(): KvRequest {
    const key = `k${this.#random.int(KEYS)}`;
    const kind = this.#random.next();
    if (kind < 0.4) return { kind: 'put', key, value: this.#newValue() };
    if (kind < 0.75) return { kind: 'get', key };
    if (kind < 0.83) return { kind: 'delete', key };
    return { kind: 'txn', key, ifMod: this.#seenMods.get(key) ?? 0, value: this.#newValue() };
  }

  #padded(request: KvRequest): KvRequest {
    if (!('value' in request)) return request;
    const bytes = this.#valueBytes[Number(request.value.slice(1)) % this.#valueBytes.length] ?? 0;
    return { ...request, value: onTheWire(request.value, bytes) };
  }

  #newValue(): string {
    this.#values += 1;
    return `v${this.#values}`;
  }
}

function send(member: RpcClient, request: KvRequest, serializable: boolean): Promise<Answer> {
  const key = Buffer.from(request.key);
  switch (request.kind) {
    case 'put':
      return member.unary(KV.methods.put, PutRequest.create({ key, value: Buffer.from(request.value) }));
    case 'delete':
      return member.unary(KV.methods.deleteRange, DeleteRangeRequest.create({ key }));
    case 'get':
      return member.unary(KV.methods.range, RangeRequest.create({ key, serializable }));
    case 'txn':
      return member.unary(KV.methods.txn, compareAndPut(request));
  }
}

function responseOf(request: KvRequest, message: unknown): KvResponse {
  const revision = (message as { header?: ResponseHeader }).header?.revision ?? 0;
  switch (request.kind) {
    case 'put':
      return { revision };
    case 'delete':
      return { revision, deleted: (message as DeleteRangeResponse).deleted };
    case 'get': {
      const [kv] = (message as RangeResponse).kvs;
      return { revision, found: kv === undefined ? undefined : named(foundIn(kv)) };
    }
    case 'txn': {
      const compared = comparedAndPut(message as TxnResponse);
      return { revision, ...compared, found: named(compared.found) };
    }
  }
}

type Found = KvResponse['found'];

function named(found: Found): Found {
  return found === undefined ? undefined : { value: nameOf(found.value), mod: found.mod };
}

/** Whether it is certain that the request took no effect and never will. */
function isRefusal({ code, details }: { code: number; details: string }): boolean {
  return (
    code === GrpcCode.ResourceExhausted ||
    details === 'raft proposal dropped' ||
    details.startsWith('No connection established')
  );
}
