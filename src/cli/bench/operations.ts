import {
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  type RequestOp,
  TxnRequest,
  WatchCreateRequest,
  WatchRequest,
  type WatchResponse,
} from '../../wire/gen/etcdserverpb.ts';
import { KV } from '../../wire/services.ts';
import type { EndpointClient } from '../client/endpoint-client.ts';
import { type Load, type Measured, measure } from './measure.ts';

export interface BenchSettings {
  readonly operation: Operation;
  /** Connections; requests are spread over them. */
  readonly clients: readonly EndpointClient[];
  /** All keys begin with it. */
  readonly prefix: string;
  readonly keys: number;
  readonly valueBytes: number;
  /** Puts of one transaction. */
  readonly txnOps: number;
  /** Keys of one page of a list. */
  readonly pageKeys: number;
  readonly watches: number;
  readonly isSerializable: boolean;
  readonly load: Load;
}

/** The operations, each with what it measures. */
export const operations = {
  put: 'puts of keys chosen in turn',
  get: 'reads of one key',
  txn: 'transactions of several puts',
  list: 'reads of all keys, page by page',
  watch: 'the time from a put to its event at each watch',
} as const;
export type Operation = keyof typeof operations;

/** Requests in flight while the keys for reads are written, and keys of one transaction. */
const FILL_CLIENTS = 32;
const FILL_KEYS = 16;

/** Runs the operation. Before reads, the keys are written, which is not measured. */
export async function runOperation(settings: BenchSettings): Promise<Measured> {
  const { operation, load } = settings;
  if (operation === 'get' || operation === 'list') await fill(settings);
  if (operation === 'watch') return measureWatches(settings);
  const requests = { put, get, txn, list };
  return measure((number, client) => requests[operation](settings, number, client), load);
}

/** Removes all keys of the run. */
export async function removeKeys({
  clients,
  prefix,
}: Pick<BenchSettings, 'clients' | 'prefix'>): Promise<void> {
  await connection(clients, 0).call(
    KV.methods.deleteRange,
    DeleteRangeRequest.create({ key: Buffer.from(prefix), rangeEnd: endOf(prefix) }),
  );
}

function connection(clients: readonly EndpointClient[], at: number): EndpointClient {
  const client = clients[at % clients.length];
  if (client === undefined) throw new Error('there is no connection');
  return client;
}

/** Keys of one length, so that their order is that of their numbers. */
function keyOf({ prefix, keys }: BenchSettings, number: number): Buffer {
  return Buffer.from(prefix + String(number % keys).padStart(10, '0'));
}

/** The first key after all keys with the prefix, which ends with a slash. */
function endOf(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  end[end.length - 1] = (end.at(-1) ?? 0) + 1;
  return end;
}

/** Random text, so that no compression helps. */
function valueOf({ valueBytes }: BenchSettings, number: number): Buffer {
  const value = Buffer.allocUnsafe(valueBytes);
  let state = (number * 2_654_435_761 + 1) >>> 0;
  for (let at = 0; at < valueBytes; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    value[at] = 97 + ((state >>> 16) % 26);
  }
  return value;
}

function putOf(settings: BenchSettings, number: number): PutRequest {
  return PutRequest.create({ key: keyOf(settings, number), value: valueOf(settings, number) });
}

function put(settings: BenchSettings, number: number, client: number): Promise<unknown> {
  return connection(settings.clients, client).call(KV.methods.put, putOf(settings, number));
}

async function get(settings: BenchSettings, number: number, client: number): Promise<void> {
  const key = keyOf(settings, number * 7919);
  const request = RangeRequest.create({ key, serializable: settings.isSerializable });
  const { kvs } = await connection(settings.clients, client).call(KV.methods.range, request);
  if (kvs.length === 0) throw new Error('a key that was written is not there');
}

function txnOf(settings: BenchSettings, first: number, count: number): TxnRequest {
  const success = Array.from({ length: count }, (_, at): RequestOp => ({
    request: { case: 'requestPut', value: putOf(settings, first + at) },
  }));
  return TxnRequest.create({ success });
}

async function txn(settings: BenchSettings, number: number, client: number): Promise<void> {
  const count = Math.min(settings.txnOps, settings.keys);
  const request = txnOf(settings, number * count, count);
  const { succeeded } = await connection(settings.clients, client).call(KV.methods.txn, request);
  if (!succeeded) throw new Error('a transaction without a comparison did not succeed');
}

/** Reads all pages at the revision of the first one, as Kubernetes does. */
async function list(settings: BenchSettings, _number: number, client: number): Promise<void> {
  const { clients, prefix, keys, pageKeys, isSerializable } = settings;
  const end = endOf(prefix);
  let from = Buffer.from(prefix);
  let revision = 0;
  let count = 0;
  for (;;) {
    const request = RangeRequest.create({
      key: from,
      rangeEnd: end,
      limit: pageKeys,
      revision,
      serializable: isSerializable,
    });
    const { kvs, more, header } = await connection(clients, client).call(KV.methods.range, request);
    count += kvs.length;
    const last = kvs.at(-1);
    if (!more || last === undefined) break;
    revision = revision === 0 ? (header?.revision ?? 0) : revision;
    from = Buffer.concat([last.key, Buffer.from([0])]);
  }
  if (count !== keys) throw new Error(`a list has ${count} keys instead of ${keys}`);
}

async function fill(settings: BenchSettings): Promise<void> {
  const { keys, clients, load } = settings;
  const { failures, reasons } = await measure(
    (number, client) => {
      const first = number * FILL_KEYS;
      const request = txnOf(settings, first, Math.min(FILL_KEYS, keys - first));
      return connection(clients, client).call(KV.methods.txn, request);
    },
    { clients: FILL_CLIENTS, total: Math.ceil(keys / FILL_KEYS), rate: 0, signal: load.signal },
  );
  if (failures > 0) throw new Error(`the keys cannot be written: ${[...reasons.keys()].join('; ')}`);
}

/** Opens the watches, writes keys, and measures from the start of a put to its event at each watch. */
async function measureWatches(settings: BenchSettings): Promise<Measured> {
  const { clients, prefix, watches, load, keys } = settings;
  const startedMs = new Map<string, number>();
  const timesMs: number[] = [];
  const failures: string[] = [];
  const streams = await Promise.all(
    Array.from({ length: watches }, (_, at) =>
      openWatch(connection(clients, at), prefix, {
        event: (key) => {
          const started = startedMs.get(key);
          if (started !== undefined) timesMs.push(performance.now() - started);
        },
        failed: (reason) => failures.push(reason),
      }),
    ),
  );
  // Each key is used once, so that an event belongs to one put.
  const once = { ...settings, keys: Math.max(keys, load.total) };
  const puts = await measure((number, client) => {
    startedMs.set(keyOf(once, number).toString(), performance.now());
    return put(once, number, client);
  }, load);
  const wanted = puts.timesMs.length * watches;
  const until = performance.now() + EVENTS_TIMEOUT_MS;
  while (
    timesMs.length < wanted &&
    failures.length === 0 &&
    performance.now() < until &&
    !load.signal.aborted
  )
    await new Promise((resolve) => setTimeout(resolve, 5));
  for (const cancel of streams) cancel();
  const reasons = new Map(puts.reasons);
  for (const reason of failures) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  const missing = Math.max(0, wanted - timesMs.length);
  if (missing > 0) reasons.set('an event did not arrive', missing);
  return { timesMs, failures: puts.failures + missing, reasons, seconds: puts.seconds };
}

/** How long events may come after the last put. */
const EVENTS_TIMEOUT_MS = 10_000;

interface WatchListener {
  event(key: string): void;
  failed(reason: string): void;
}

/** Resolves, when the watch exists, with a function that ends it. */
async function openWatch(
  client: EndpointClient,
  prefix: string,
  listener: WatchListener,
): Promise<() => void> {
  const stream = await client.watch();
  const value = WatchCreateRequest.create({ key: Buffer.from(prefix), rangeEnd: endOf(prefix) });
  return new Promise((resolve, reject) => {
    let isOver = false;
    stream.on('data', ({ created, canceled, cancelReason, events }: WatchResponse) => {
      if (canceled) listener.failed(`a watch was canceled: ${cancelReason}`);
      for (const { kv } of events) listener.event(kv?.key.toString() ?? '');
      if (created)
        resolve(() => {
          isOver = true;
          stream.cancel();
        });
    });
    stream.on('error', (error: Error) => {
      if (!isOver) listener.failed(error.message);
      reject(error);
    });
    stream.write(WatchRequest.create({ requestUnion: { case: 'createRequest', value } }));
  });
}
