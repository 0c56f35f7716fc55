import type { ClientDuplexStream } from '@grpc/grpc-js';
import { WatchCreateRequest, WatchRequest } from '../../src/wire/gen/etcdserverpb.ts';
import type { MessageCodec } from '../../src/wire/codec.ts';
import { Watch } from '../../src/wire/services.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';

const TIMEOUT_MS = 120_000;

/** Responses are counted by their bytes and not decoded. */
const method = {
  ...Watch.methods.watch,
  response: { decode: (bytes: Buffer) => bytes.length } as unknown as MessageCodec<number>,
};

/** One watch on a stream of its own. */
class ByteWatch {
  #bytes = 0;
  readonly #stream: ClientDuplexStream<WatchRequest, number>;

  constructor(client: RpcClient, fields: Partial<WatchCreateRequest>) {
    this.#stream = client.openStream(method);
    this.#stream.on('error', () => undefined);
    this.#stream.on('data', (bytes: number) => (this.#bytes += bytes));
    this.#stream.write(
      WatchRequest.create({
        requestUnion: { case: 'createRequest', value: WatchCreateRequest.create(fields) },
      }),
    );
  }

  /** Waits until it was created, or has received so much. */
  has(bytes = 1): Promise<unknown> {
    return eventually(`a watch has ${bytes} bytes`, () => this.#bytes >= bytes, { timeoutMs: TIMEOUT_MS });
  }

  close(): void {
    this.#stream.cancel();
  }
}

/**
 * Runs a change of very many keys while watches of each kind get its events: in one message, in fragments, with
 * previous values, and later from the history.
 *
 * @param range the changed keys
 * @param events how many they are
 * @param startRevision the next revision, which is that of the change
 */
export async function eventsToWatchers(
  endpoint: string,
  range: { readonly key: Buffer; readonly rangeEnd: Buffer },
  events: number,
  startRevision: number,
  change: () => Promise<unknown>,
): Promise<void> {
  const client = new RpcClient(endpoint, { timeoutMs: TIMEOUT_MS });
  const kinds = [{}, { fragment: true }, { prevKv: true }];
  const watches = kinds.map((kind) => new ByteWatch(client, { ...range, ...kind }));
  await Promise.all(watches.map((watch) => watch.has()));
  await change();
  watches.push(...kinds.map((kind) => new ByteWatch(client, { ...range, ...kind, startRevision })));
  await Promise.all(watches.map((watch) => watch.has(events * range.key.length)));
  for (const watch of watches) watch.close();
  client.close();
}
