import { GrpcServer } from '../../grpc/server.ts';
import { Metrics } from '../../metrics/metrics.ts';
import { CompactionJob } from '../../mvcc/compaction.ts';
import { keyRange } from '../../mvcc/key-range.ts';
import { MvccStore } from '../../mvcc/store.ts';
import { WatchHub } from '../../mvcc/watch-hub.ts';
import type { WriteTxn } from '../../mvcc/write-txn.ts';
import { timers } from '../../cli/timers.ts';
import { WatchPump } from '../../server/watch-pump.ts';
import { MemoryEngine } from '../../storage/memory-engine.ts';
import {
  CompactionRequest,
  CompactionResponse,
  DeleteRangeRequest,
  DeleteRangeResponse,
  PutRequest,
  PutResponse,
} from '../../wire/gen/etcdserverpb.ts';
import { KV } from '../../wire/services.ts';
import { ResponseHeaders } from '../../wire/response-header.ts';
import { serveWatch, type WatchDeps } from '../watch.ts';

/** A Watch service over an in-memory store, with the part of KV that is needed to change the store. */
export class WatchServer {
  readonly engine = new MemoryEngine();
  readonly store = new MvccStore(this.engine);
  readonly hub = new WatchHub(this.store);
  readonly metrics = new Metrics();
  readonly grpc = new GrpcServer({ maxReceiveBytes: 2 ** 21 });
  port = 0;
  readonly #writes: ((txn: WriteTxn) => void)[] = [];

  constructor(deps: Partial<WatchDeps> = {}) {
    const headers = new ResponseHeaders(1n, 2n);
    new WatchPump(this.hub, deps.scheduler ?? timers);
    serveWatch(this.grpc, {
      hub: this.hub,
      scheduler: timers,
      clock: { now: () => performance.now(), wall: () => Date.now() },
      metrics: this.metrics,
      header: (revision) => headers.field(revision, 3),
      checkWatch: () => undefined,
      maxRequestBytes: 1.5 * 2 ** 20,
      progressIntervalMs: 600_000,
      randomInt: () => 0,
      isLearner: () => false,
      hasLeader: () => true,
      onLeaderLost: () => () => undefined,
      ...deps,
    });
    this.#registerKv();
  }

  async start(port = 0): Promise<this> {
    this.port = await this.grpc.listen({ host: '127.0.0.1', port });
    return this;
  }

  close(): void {
    this.grpc.close();
  }

  put(key: string, value: string | Buffer): void {
    this.apply([(txn) => txn.put(Buffer.from(key), Buffer.from(value), 0n)]);
  }

  delete(key: string): void {
    this.apply([(txn) => txn.deleteRange(keyRange(Buffer.from(key), Buffer.alloc(0)))]);
  }

  /** One batch of transactions. */
  apply(writes: readonly ((txn: WriteTxn) => void)[]): void {
    for (const write of writes) {
      const txn = this.store.begin();
      write(txn);
      txn.end();
    }
    const batch = this.engine.batch();
    this.store.stage(batch);
    this.engine.write(batch);
    this.hub.notify(this.store.committed());
  }

  compact(revision: number): void {
    const batch = this.engine.batch();
    this.store.compact(revision, batch);
    this.engine.write(batch);
    const job = new CompactionJob(this.store, revision);
    for (let done = false; !done;) {
      const removal = this.engine.batch();
      done = job.step(removal, 1000);
      this.engine.write(removal);
    }
  }

  /** Changes of one turn of the event loop are applied as one batch, as in a busy server. */
  #registerKv(): void {
    const { methods } = KV;
    this.grpc.unary(methods.put, (call, bytes) => {
      const { key, value } = PutRequest.decode(bytes);
      this.#soon((txn) => {
        txn.put(key, value, 0n);
        call.respond(PutResponse.encode(PutResponse.create()));
      });
    });
    this.grpc.unary(methods.deleteRange, (call, bytes) => {
      const { key, rangeEnd } = DeleteRangeRequest.decode(bytes);
      this.#soon((txn) => {
        txn.deleteRange(keyRange(key, rangeEnd));
        call.respond(DeleteRangeResponse.encode(DeleteRangeResponse.create()));
      });
    });
    this.grpc.unary(methods.compact, (call, bytes) => {
      this.compact(CompactionRequest.decode(bytes).revision);
      call.respond(CompactionResponse.encode(CompactionResponse.create()));
    });
  }

  #soon(write: (txn: WriteTxn) => void): void {
    this.#writes.push(write);
    if (this.#writes.length > 1) return;
    setImmediate(() => {
      this.apply(this.#writes.splice(0));
      this.grpc.flushAll();
    });
  }
}
