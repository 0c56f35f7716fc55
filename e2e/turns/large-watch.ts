import type { ClientDuplexStream } from '@grpc/grpc-js';
import {
  PutRequest,
  WatchCreateRequest,
  WatchRequest,
  type WatchResponse,
} from '../../src/wire/gen/etcdserverpb.ts';
import { KV, Watch } from '../../src/wire/services.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';

const PREFIX = '/watched/';
const WATCHES_PER_STREAM = 250;

/** Many watchers of one prefix, of which each gets every event. */
export class LargeWatch {
  readonly #client: RpcClient;
  readonly #streams: ClientDuplexStream<WatchRequest, WatchResponse>[] = [];
  readonly #watchers: number;
  #created = 0;
  #events = 0;

  private constructor(endpoint: string, watchers: number) {
    this.#client = new RpcClient(endpoint, { timeoutMs: 120_000 });
    this.#watchers = watchers;
  }

  static async open(endpoint: string, watchers: number): Promise<LargeWatch> {
    const watch = new LargeWatch(endpoint, watchers);
    for (let at = 0; at < watchers; at += WATCHES_PER_STREAM)
      watch.#openStream(Math.min(WATCHES_PER_STREAM, watchers - at));
    await eventually(`${watchers} watches are created`, () => watch.#created === watchers, {
      timeoutMs: 120_000,
    });
    return watch;
  }

  /** Puts one key of the prefix, and waits until all watchers have its event. */
  async event(value: Buffer): Promise<void> {
    const wanted = this.#events + this.#watchers;
    await this.#client.unary(KV.methods.put, PutRequest.create({ key: Buffer.from(`${PREFIX}one`), value }));
    await eventually(`an event for ${this.#watchers} watchers`, () => this.#events >= wanted, {
      timeoutMs: 120_000,
    });
  }

  close(): void {
    for (const stream of this.#streams) stream.cancel();
    this.#client.close();
  }

  #openStream(watches: number): void {
    const stream = this.#client.openStream(Watch.methods.watch);
    this.#streams.push(stream);
    stream.on('error', () => undefined);
    stream.on('data', (response: WatchResponse) => {
      if (response.created) this.#created += 1;
      this.#events += response.events.length;
    });
    const key = Buffer.from(PREFIX);
    const rangeEnd = Buffer.from(PREFIX.replace('/watched/', '/watched0'));
    for (let count = 0; count < watches; count += 1)
      stream.write(
        WatchRequest.create({
          requestUnion: { case: 'createRequest', value: WatchCreateRequest.create({ key, rangeEnd }) },
        }),
      );
  }
}
