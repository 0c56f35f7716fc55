import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import {
  WatchCancelRequest,
  WatchCreateRequest,
  WatchProgressRequest,
  WatchRequest,
  type WatchResponse,
} from '../../src/wire/gen/etcdserverpb.ts';
import { Watch } from '../../src/wire/services.ts';
import { eventually } from '../harness/wait.ts';
import { comparableMessage } from './comparable.ts';
import { plain } from './plain.ts';
import type { RpcClient } from '../harness/rpc-client.ts';

/** Records one watch stream: creation, cancellation and events of each watch, in order. */
export class WatchRecorder {
  readonly #stream: ClientDuplexStream<WatchRequest, WatchResponse>;
  readonly #told = new Map<string, unknown[]>();
  readonly #alive = new Set<bigint>();
  #answers = 0;
  #latestStart = 0;
  #compacted = false;
  #silent = false;
  #progressRevision = 0;
  #failure: Error | undefined;

  constructor(client: RpcClient) {
    this.#stream = client.openStream(Watch.methods.watch);
    this.#stream.on('data', (response: WatchResponse) => this.#take(response));
    this.#stream.on('error', (error: Error) => (this.#failure = error));
  }

  /** Creates a watch and waits for the response. */
  async create(request: WatchCreateRequest): Promise<void> {
    this.#latestStart = Math.max(this.#latestStart, request.startRevision);
    await this.#askAndWait(WatchRequest.create({ requestUnion: { case: 'createRequest', value: request } }));
  }

  /** Cancels a watch. There is no response for a watch that does not exist. */
  async cancel(watchId: bigint): Promise<void> {
    const value = WatchCancelRequest.create({ watchId });
    this.#stream.write(WatchRequest.create({ requestUnion: { case: 'cancelRequest', value } }));
    await eventually(
      `the end of watch ${watchId}`,
      () => {
        this.#check();
        return !this.#alive.has(watchId);
      },
      { everyMs: 1 },
    );
  }

  /**
   * Waits until every watch of this stream has all events up to `revision`. In some cases etcd does not answer a progress
   * request: without a watch, with a watch that starts later, or after a compaction has cancelled one. Then there is no
   * wait. Rarely, etcd never answers for other reasons; such a stream is not asked again.
   */
  async caughtUp(revision: number): Promise<void> {
    if (this.#alive.size === 0 || this.#latestStart > revision || this.#compacted || this.#silent) return;
    this.#progressRevision = 0;
    const deadline = Date.now() + 2_000;
    while (this.#progressRevision < revision && Date.now() < deadline) {
      this.#check();
      const value = WatchProgressRequest.create();
      this.#stream.write(WatchRequest.create({ requestUnion: { case: 'progressRequest', value } }));
      await sleep(20);
    }
    this.#silent = this.#progressRevision < revision;
  }

  /** Everything that was received, by watch. */
  story(): Record<string, unknown[]> {
    return Object.fromEntries(this.#told);
  }

  close(): void {
    this.#stream.on('error', () => undefined);
    this.#stream.cancel();
  }

  async #askAndWait(request: WatchRequest): Promise<void> {
    const before = this.#answers;
    this.#stream.write(request);
    await eventually(
      'an answer to a watch request',
      () => {
        this.#check();
        return this.#answers > before;
      },
      { everyMs: 1 },
    );
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #take(response: WatchResponse): void {
    const id = response.watchId.toString();
    if (response.created || response.canceled) {
      this.#answers += response.created ? 1 : 0;
      this.#compacted ||= response.compactRevision > 0;
      if (response.canceled) this.#alive.delete(response.watchId);
      else this.#alive.add(response.watchId);
      this.#tell(id, [comparableMessage(plain({ ...response, events: [] }) as Record<string, unknown>)]);
    }
    if (response.events.length > 0) this.#tell(id, plain(response.events) as unknown[]);
    else if (!response.created && !response.canceled) this.#progressRevision = response.header?.revision ?? 0;
  }

  #tell(id: string, what: unknown[]): void {
    const told = this.#told.get(id);
    if (told === undefined) this.#told.set(id, what);
    else told.push(...what);
  }
}
