import { setTimeout as sleep } from 'node:timers/promises';
import type { ProgressMark, SeenEvent, Watching } from '../../../src/sim/checkers/watch-order.ts';
import {
  WatchCreateRequest,
  WatchProgressRequest,
  WatchRequest,
  type WatchResponse,
} from '../../../src/wire/gen/etcdserverpb.ts';
import { EventEventType } from '../../../src/wire/gen/mvccpb.ts';
import { Watch } from '../../../src/wire/services.ts';
import { RpcClient } from '../../harness/rpc-client.ts';
import { nameOf } from './values.ts';

const RESUME_MS = 100;
const PROGRESS_MS = 300;
const CHANNEL = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 500,
  'grpc.use_local_subchannel_pool': 1,
};

export interface HistoryWatcherOptions {
  /** Members to watch at. When one does not answer, the next one is used. */
  readonly endpoints: readonly string[];
  readonly prefix: string;
}

/** Watches a prefix from the first revision on. Restarts after the end of a stream and requests progress periodically. */
export class HistoryWatcher implements Watching {
  readonly prefix: string;
  readonly startRevision = 1;
  readonly seen: SeenEvent[] = [];
  readonly marks: ProgressMark[] = [];
  /** The first invalid event, if any. */
  fault: string | undefined;
  readonly #running: Promise<void>;
  #cancel: () => void = () => undefined;
  #stopped = false;

  constructor({ endpoints, prefix }: HistoryWatcherOptions) {
    this.prefix = prefix;
    this.#running = this.#run(endpoints);
  }

  /** The revision up to which all events have arrived, according to the server. */
  get progress(): number {
    return this.marks.at(-1)?.revision ?? 0;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#running;
  }

  async #run(endpoints: readonly string[]): Promise<void> {
    for (let turn = 0; !this.#stopped; turn += 1) {
      const client = new RpcClient(endpoints[turn % endpoints.length] ?? '', { channel: CHANNEL });
      await this.#watch(client);
      client.close();
      await sleep(RESUME_MS);
    }
  }

  /** Runs one stream until it ends. */
  #watch(client: RpcClient): Promise<void> {
    const stream = client.openStream(Watch.methods.watch);
    const write = (requestUnion: WatchRequest['requestUnion']): void => {
      stream.write(WatchRequest.create({ requestUnion }));
    };
    const asking = setInterval(() => {
      write({ case: 'progressRequest', value: WatchProgressRequest.create() });
    }, PROGRESS_MS);
    this.#cancel = () => stream.cancel();
    return new Promise((resolve) => {
      const ended = (): void => {
        clearInterval(asking);
        resolve();
      };
      stream.on('data', (response: WatchResponse) => {
        if (!this.#stopped) this.#take(response);
        if (response.canceled) stream.cancel();
      });
      stream.on('error', ended);
      stream.on('end', ended);
      const { key, rangeEnd } = rangeOf(this.prefix);
      const startRevision = (this.seen.at(-1)?.revision ?? this.startRevision - 1) + 1;
      write({ case: 'createRequest', value: WatchCreateRequest.create({ key, rangeEnd, startRevision }) });
    });
  }

  #take({ created, canceled, cancelReason, compactRevision, events, header }: WatchResponse): void {
    if (compactRevision > 0) this.fault ??= `was cancelled: ${compactRevision} ${cancelReason}`;
    for (const { type, kv } of events) {
      if (kv === undefined) continue;
      const value = type === EventEventType.DELETE ? undefined : nameOf(kv.value.toString());
      this.seen.push({ revision: kv.modRevision, key: kv.key.toString(), value });
    }
    if (created || canceled || events.length > 0 || header === undefined) return;
    this.marks.push({ revision: header.revision, seen: this.seen.length });
  }
}

/** An empty prefix means all keys. */
function rangeOf(prefix: string): { key: Buffer; rangeEnd: Buffer } {
  if (prefix === '') return { key: Buffer.of(0), rangeEnd: Buffer.of(0) };
  const rangeEnd = Buffer.from(prefix);
  rangeEnd[rangeEnd.length - 1] = (rangeEnd.at(-1) ?? 0) + 1;
  return { key: Buffer.from(prefix), rangeEnd };
}
