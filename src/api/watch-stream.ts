import type { TracedOperation } from '../grpc/call-trace.ts';
import type { StreamCall } from '../grpc/stream-call.ts';
import { keyRange } from '../mvcc/key-range.ts';
import type { EventBatch } from '../mvcc/watch-event.ts';
import type { WatchOutlet, WatchReceiver, Watcher } from '../mvcc/watcher.ts';
import { EtcdError, errors, GrpcCode } from '../wire/errors.ts';
import {
  type WatchCreateRequest,
  WatchCreateRequestFilterType,
  WatchRequest,
  type WatchResponse,
} from '../wire/gen/etcdserverpb.ts';
import { WireError } from '../wire/wire-error.ts';
import { traceWatch } from './traced-operations.ts';
import type { WatchDeps } from './watch.ts';
import { controlBody, denialReason, fragments, NO_WATCH, watchIdField } from './watch-responses.ts';

const DECODE_FAULT = 'grpc: failed to unmarshal the received message: ';
/** etcd adds this to the largest request to get the largest response that it does not fragment. */
const RESPONSE_OVERHEAD_BYTES = 512 * 1024;
/** The shortest interval between progress reports, as in etcd. */
const MIN_PROGRESS_MS = 100;
/** The smallest key. An empty key means this one. */
const SMALLEST_KEY = Buffer.from([0]);

/** Requests of one stream that are handled in one turn. A created watch takes about 0.1 ms. */
const REQUESTS_PER_TURN = 32;

const DUPLICATE_ID = 'mvcc: duplicate watch ID provided on the WatchStream';
const EMPTY_RANGE = 'mvcc: watcher range is empty';

/** One watch of a stream. */
class Watch implements WatchReceiver {
  readonly id: bigint;
  readonly idField: Buffer;
  readonly fragment: boolean;
  /**
   * Undefined if the watch wants no progress reports. Otherwise, whether the next tick sends one: only if no event
   * was sent since the last tick.
   */
  progressDue: boolean | undefined;
  watcher: Watcher | undefined;
  traced: TracedOperation | undefined;
  readonly #stream: WatchStream;

  constructor(stream: WatchStream, id: bigint, { fragment, progressNotify }: WatchCreateRequest) {
    this.#stream = stream;
    this.id = id;
    this.idField = watchIdField(id);
    this.fragment = fragment;
    this.progressDue = progressNotify ? true : undefined;
  }

  deliver(batch: EventBatch): boolean {
    return this.#stream.sendEvents(this, batch);
  }

  /** As in etcd, the ID stays in use until the client cancels the watch. */
  compacted(compactRevision: number): void {
    this.#stream.sendCompacted(this, compactRevision);
  }
}

/**
 * One Watch call. The client creates and cancels any number of watches on it. While the client does not read its
 * responses, its requests are not read either, and its watches fall behind.
 */
export class WatchStream {
  readonly #call: StreamCall;
  readonly #deps: WatchDeps;
  readonly #outlet: WatchOutlet;
  readonly #watches = new Map<bigint, Watch>();
  readonly #stops: (() => void)[] = [];
  #nextId = 0n;
  #checking = false;
  #requestsOfTurn = 0;
  #closed = false;

  constructor(call: StreamCall, deps: WatchDeps) {
    this.#call = call;
    this.#deps = deps;
    this.#outlet = deps.hub.open();
    const { randomInt, scheduler } = deps;
    const progressIntervalMs = Math.max(MIN_PROGRESS_MS, deps.progressIntervalMs);
    // Streams that were opened together, as after a restart, do not all report at the same time.
    const jitterMs = randomInt(Math.max(1, Math.floor(progressIntervalMs / 10)));
    this.#stops.push(scheduler.every(progressIntervalMs + jitterMs, () => this.#reportProgress()));
    call.onMessage = (bytes) => this.#receive(bytes);
    call.onWritable = () => this.#writable();
    call.onCancel = () => this.#close();
    // A client that half-closes the stream keeps its watches, so there is nothing to do.
  }

  /** Runs `stop` when the stream ends. */
  onEnd(stop: () => void): void {
    this.#stops.push(stop);
  }

  end(error: EtcdError): void {
    if (this.#closed) return;
    this.#close();
    this.#call.end(error.code, error.message);
  }

  /** @returns whether the client reads fast enough */
  sendEvents(watch: Watch, batch: EventBatch): boolean {
    const { clock, header: headerAt } = this.#deps;
    const startedMs = clock.now();
    const header = headerAt(batch.revision);
    if (watch.progressDue !== undefined) watch.progressDue = false;
    if (watch.fragment) this.#sendFragments([header, watch.idField], batch);
    else {
      const { parts } = batch;
      const [only] = parts;
      const slices =
        parts.length === 1 && only !== undefined
          ? [header, watch.idField, only]
          : [header, watch.idField, ...parts];
      this.#write(slices, header.length + watch.idField.length + batch.bytes);
    }
    const { mvcc } = this.#deps.metrics;
    const seconds = (clock.now() - startedMs) / 1000;
    mvcc.watchSendStream.observe(seconds);
    mvcc.watchSendPerEvent.observe(seconds / batch.fields.length);
    return !this.#outlet.isFull;
  }

  sendCompacted(watch: Watch, compactRevision: number): void {
    this.#control({ watchId: watch.id, canceled: true, compactRevision }, 0);
  }

  #sendFragments(head: readonly Buffer[], batch: EventBatch): void {
    const limit = this.#deps.maxRequestBytes + RESPONSE_OVERHEAD_BYTES;
    for (const { parts, bytes } of fragments(head, batch, limit)) this.#write(parts, bytes);
  }

  #control(fields: Partial<WatchResponse>, revision = this.#deps.hub.revision): void {
    const { clock, metrics } = this.#deps;
    const startedMs = clock.now();
    const header = this.#deps.header(revision);
    const body = controlBody(fields);
    this.#write([header, body], header.length + body.length);
    metrics.mvcc.watchSendControl.observe((clock.now() - startedMs) / 1000);
  }

  #write(parts: readonly Buffer[], bytes: number): void {
    if (this.#call.write(parts, bytes) || this.#outlet.isFull) return;
    this.#outlet.isFull = true;
    this.#call.pause();
  }

  #writable(): void {
    if (this.#closed) return;
    // The client's next request may need to know what its watches have seen.
    this.#deps.hub.writable(this.#outlet, () => {
      if (!this.#closed) this.#readOn();
    });
  }

  #readOn(): void {
    const isDone = this.#requestsOfTurn >= REQUESTS_PER_TURN;
    if (!this.#outlet.isFull && !this.#checking && !isDone) this.#call.resume();
  }

  #receive(bytes: Buffer): void {
    this.#countRequest();
    let request: WatchRequest;
    try {
      request = WatchRequest.decode(bytes);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.end(new EtcdError(GrpcCode.Internal, DECODE_FAULT + error.answer));
      return;
    }
    const union = request.requestUnion;
    if (union?.case === 'createRequest') this.#create(union.value);
    else if (union?.case === 'cancelRequest') this.#cancel(union.value.watchId);
    else if (union?.case === 'progressRequest') this.#answerProgress();
  }

  /** A chunk of the connection may contain hundreds of requests. Other clients must not wait for all of them. */
  #countRequest(): void {
    this.#requestsOfTurn += 1;
    if (this.#requestsOfTurn === REQUESTS_PER_TURN) this.#call.pause();
    if (this.#requestsOfTurn > 1) return;
    this.#deps.scheduler.soon(() => {
      this.#requestsOfTurn = 0;
      if (!this.#closed) this.#readOn();
    });
  }

  #create(request: WatchCreateRequest): void {
    // The request is a view of the socket's memory. A watch must not keep it.
    const key = request.key.length === 0 ? SMALLEST_KEY : Buffer.from(request.key);
    const rangeEnd = Buffer.from(request.rangeEnd);
    if (request.startRevision < 0) {
      this.#refuse(errors.Compacted.message);
      return;
    }
    let checked: void | Promise<void>;
    try {
      checked = this.#deps.checkWatch(this.#call, key, rangeEnd);
    } catch (error) {
      this.#deny(error);
      return;
    }
    if (checked instanceof Promise) this.#createAfter(checked, { ...request, key, rangeEnd });
    else this.#begin({ ...request, key, rangeEnd });
  }

  /** Requests are handled in order. While one waits, no other is read. */
  #createAfter(checked: Promise<void>, request: WatchCreateRequest): void {
    this.#checking = true;
    this.#call.pause();
    checked
      .then(
        () => this.#begin(request),
        (error: unknown) => this.#deny(error),
      )
      .finally(() => {
        this.#checking = false;
        if (!this.#closed) this.#readOn();
      })
      .catch((error: unknown) => {
        throw error;
      });
  }

  #deny(error: unknown): void {
    if (!(error instanceof EtcdError)) throw error;
    this.#refuse(denialReason(error));
  }

  #refuse(cancelReason: string): void {
    if (!this.#closed) this.#control({ watchId: NO_WATCH, created: true, canceled: true, cancelReason });
  }

  #begin(request: WatchCreateRequest): void {
    if (this.#closed) return;
    const range = keyRange(request.key, request.rangeEnd);
    if (range.end !== undefined && Buffer.compare(range.start, range.end) >= 0) {
      this.#refuse(EMPTY_RANGE);
      return;
    }
    const id = this.#takeId(request.watchId);
    if (id === undefined) {
      this.#refuse(DUPLICATE_ID);
      return;
    }
    const watch = new Watch(this, id, request);
    watch.traced = traceWatch(this.#call, request);
    this.#watches.set(id, watch);
    this.#control({ watchId: id, created: true });
    const { startRevision, prevKv, filters } = request;
    const noPut = filters.includes(WatchCreateRequestFilterType.NOPUT);
    const noDelete = filters.includes(WatchCreateRequestFilterType.NODELETE);
    const options = { range, startRevision, prevKv, noPut, noDelete };
    watch.watcher = this.#deps.hub.watch(options, this.#outlet, watch);
  }

  /** 0 asks for any ID. Undefined if the requested ID is in use. */
  #takeId(wanted: bigint): bigint | undefined {
    if (wanted !== 0n) return this.#watches.has(wanted) ? undefined : wanted;
    while (this.#watches.has(this.#nextId)) this.#nextId += 1n;
    const id = this.#nextId;
    this.#nextId += 1n;
    return id;
  }

  #cancel(id: bigint): void {
    const watch = this.#watches.get(id);
    if (watch === undefined) return;
    this.#drop(watch);
    this.#watches.delete(id);
    this.#control({ watchId: id, canceled: true });
  }

  #drop({ watcher, traced }: Watch): void {
    traced?.end();
    if (watcher !== undefined) this.#deps.hub.remove(watcher);
  }

  /** Reports that no event up to the header's revision will follow. Sends nothing if that is not so. */
  #answerProgress(): void {
    if (this.#watches.size === 0) return;
    for (const watch of this.#watches.values()) if (!this.#isCurrent(watch)) return;
    this.#control({ watchId: NO_WATCH });
  }

  #reportProgress(): void {
    // Reports would pile up for a client that reads nothing.
    if (this.#outlet.isFull) return;
    const { clock, metrics } = this.#deps;
    const startedMs = clock.now();
    for (const watch of this.#watches.values()) {
      if (watch.progressDue === undefined) continue;
      if (watch.progressDue && this.#isCurrent(watch)) this.#control({ watchId: watch.id });
      watch.progressDue = true;
    }
    metrics.mvcc.watchSendProgress.observe((clock.now() - startedMs) / 1000);
  }

  #isCurrent({ watcher }: Watch): boolean {
    return watcher !== undefined && this.#deps.hub.isCurrent(watcher);
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const stop of this.#stops) stop();
    for (const watch of this.#watches.values()) this.#drop(watch);
    this.#watches.clear();
    this.#deps.hub.close(this.#outlet);
  }
}
