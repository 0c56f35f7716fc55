import { AuthStore } from '../../auth/auth-store.ts';
import { Lessor } from '../../lease/lessor.ts';
import { Cluster } from '../../membership/cluster.ts';
import type { RangeOptions } from '../../mvcc/range-options.ts';
import { allKeys } from '../../mvcc/testing/range-options.ts';
import { MvccStore, type StoreEvent } from '../../mvcc/store.ts';
import { type Engine, columns } from '../../ports/engine.ts';
import { MemoryEngine } from '../../storage/memory-engine.ts';
import {
  Compare,
  DeleteRangeRequest,
  InternalRaftRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '../../wire/gen/etcdserverpb.ts';
import { ConfState, Entry, EntryType } from '../../wire/gen/raftpb.ts';
import { AlarmStore } from '../alarms.ts';
import { Applier } from '../applier.ts';
import { AppliedState } from '../applied-state.ts';
import { Quota } from '../quota.ts';
import type { ApplyResult } from '../results.ts';
import { settleAfterCrash } from '../settle-after-crash.ts';

const KEYS = 3500;
export const LEASE = 77n;

export const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
export const keyText = (n: number): string => `k${n.toString().padStart(6, '0')}`;

/** An engine that stops after a number of writes, as if the process were killed with -9. */
export class DyingEngine extends MemoryEngine {
  writesLeft = Infinity;
  writes = 0;
  largestBatch = 0;

  override write(batch: Parameters<Engine['write']>[0]): void {
    if (this.writesLeft <= 0) throw new Error('killed');
    this.writesLeft -= 1;
    this.writes += 1;
    this.largestBatch = Math.max(this.largestBatch, batch.length);
    super.write(batch);
  }
}

/** The applied state of one member, over an engine that survives it. */
export class Machine {
  readonly engine: DyingEngine;
  readonly store: MvccStore;
  readonly lessor: Lessor;
  readonly applied: AppliedState;
  readonly applier: Applier;
  results: ApplyResult[] = [];
  events: StoreEvent[][] = [];

  constructor(engine = new DyingEngine()) {
    this.engine = engine;
    settleAfterCrash(engine);
    this.store = new MvccStore(engine);
    this.lessor = new Lessor({
      engine,
      clock: { now: () => 0, wall: () => 0 },
      minTtl: 2,
      checkpoints: false,
    });
    this.applied = new AppliedState(engine);
    const { store, lessor, applied } = this;
    this.applier = new Applier(
      {
        engine,
        store,
        lessor,
        applied,
        cluster: new Cluster({ engine, localId: 1n, id: 2n }),
        auth: new AuthStore({ engine }),
        alarms: new AlarmStore(engine),
        quota: new Quota(2 ** 40, () => store.sizeBytes),
        maxLearners: 1,
        applyToRaft: () => ConfState.create(),
      },
      {
        isWanted: () => true,
        onResult: (_prefix, _sequence, result) => this.results.push(result),
        onConfChange: () => undefined,
        onCompaction: () => undefined,
        onEmptyEntry: () => undefined,
        onEvents: (events) => this.events.push([...events]),
      },
    );
  }

  /** Applies the log from the engine's applied index on. `between` is called between the turns of large entries. */
  apply(log: readonly Entry[], between: () => void = () => undefined): void {
    for (let at = 0; at < log.length;) {
      const count = this.applier.applyBatch(log.slice(at, at + 64));
      at += count;
      if (count === 0) between();
    }
  }

  rows(): string[] {
    return columns.flatMap((column) => {
      const rows = this.engine.iterate(column, { gte: Buffer.alloc(0) });
      const found = rows.next(Infinity);
      rows.close();
      const texts: string[] = [];
      for (let at = 0; at < found.length; at += 2)
        texts.push(`${column} ${found[at]?.toString('latin1')} ${found[at + 1]?.toString('latin1')}`);
      return texts;
    });
  }

  read(over: Partial<RangeOptions> = {}): { keys: number; count: number; values: string[] } {
    const result = this.store.range({ ...allKeys, ...over });
    const values = result.readAll().map((kv) => kv.toString('latin1'));
    return { keys: values.length, count: result.count, values };
  }
}

export function entries(requests: readonly Partial<InternalRaftRequest>[]): Entry[] {
  return requests.map((request, at) => {
    const header = { id: BigInt(at + 1), username: '', authRevision: 0 };
    const data = InternalRaftRequest.encode(InternalRaftRequest.create({ header, ...request }));
    return Entry.create({ type: EntryType.EntryNormal, index: at + 1, term: 1, data });
  });
}

export const put = (key: string, value: string, lease = 0n): Partial<InternalRaftRequest> => ({
  put: PutRequest.create({ key: bytes(key), value: bytes(value), lease }),
});
const remove = (key: string, end: string, prevKv = false): DeleteRangeRequest =>
  DeleteRangeRequest.create({ key: bytes(key), rangeEnd: bytes(end), prevKv });

/** Keys with and without a lease, not in byte order. */
export function initialRequests(): Partial<InternalRaftRequest>[] {
  const requests: Partial<InternalRaftRequest>[] = [{ leaseGrant: { id: LEASE, ttl: 60 } }];
  for (let n = 0; n < KEYS; n += 1) {
    const at = (n * 7919) % KEYS;
    requests.push(put(keyText(at), `v${at}`, at % 2 === 0 ? LEASE : 0n));
  }
  requests.push(put('a', 'before'), put('z', 'after'));
  return requests;
}

const op = (request: NonNullable<RequestOp['request']>): RequestOp => RequestOp.create({ request });

export const kinds: Readonly<Record<string, Partial<InternalRaftRequest>>> = {
  'a delete of a range': { deleteRange: remove('k', 'l', true) },
  'the end of a lease': { leaseRevoke: { id: LEASE } },
  'a transaction that deletes and writes again': {
    txn: TxnRequest.create({
      compare: [Compare.create({ key: bytes('k'), rangeEnd: bytes('l'), result: 1, target: 1 })],
      success: [
        op({ case: 'requestDeleteRange', value: remove('k', keyText(3000)) }),
        op({
          case: 'requestPut',
          value: PutRequest.create({ key: bytes('l'), value: bytes('new'), lease: LEASE }),
        }),
        op({ case: 'requestRange', value: RangeRequest.create({ key: bytes('k'), rangeEnd: bytes('m') }) }),
      ],
    }),
  },
};
