import { describe, expect, it } from 'vitest';
import { AuthStore } from '../auth/auth-store.ts';
import { SeededRandom } from '../lib/seeded-random.ts';
import { runSteps } from '../lib/steps.ts';
import { Lessor } from '../lease/lessor.ts';
import { Cluster } from '../membership/cluster.ts';
import { everything, keyRange } from '../mvcc/key-range.ts';
import type { RangeOptions } from '../mvcc/range-scan.ts';
import { MvccStore, type StoreEvent } from '../mvcc/store.ts';
import { type Engine, columns } from '../ports/engine.ts';
import { MemoryEngine } from '../storage/memory-engine.ts';
import {
  Compare,
  DeleteRangeRequest,
  InternalRaftRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '../wire/gen/etcdserverpb.ts';
import { ConfState, Entry, EntryType } from '../wire/gen/raftpb.ts';
import { AlarmStore } from './alarms.ts';
import { Applier } from './applier.ts';
import { AppliedState } from './applied-state.ts';
import { Quota } from './quota.ts';
import type { ApplyResult } from './results.ts';
import { settleAfterCrash } from './settle-after-crash.ts';

const KEYS = 3500;
const LEASE = 77n;

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const keyText = (n: number): string => `k${n.toString().padStart(6, '0')}`;

/** An engine that stops after a number of writes, as if the process were killed with -9. */
class DyingEngine extends MemoryEngine {
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
class Machine {
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
        ...{ engine, store, lessor, applied },
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
    const result = this.store.range({ ...rangeOptions, ...over });
    const values = result.readAll().map((kv) => kv.toString('latin1'));
    return { keys: values.length, count: result.count, values };
  }
}

const rangeOptions: RangeOptions = {
  range: everything,
  revision: 0,
  limit: 0,
  keysOnly: false,
  countOnly: false,
  sortOrder: 0,
  sortTarget: 0,
  minModRevision: 0,
  maxModRevision: 0,
  minCreateRevision: 0,
  maxCreateRevision: 0,
};

function entries(requests: readonly Partial<InternalRaftRequest>[]): Entry[] {
  return requests.map((request, at) => {
    const header = { id: BigInt(at + 1), username: '', authRevision: 0 };
    const data = InternalRaftRequest.encode(InternalRaftRequest.create({ header, ...request }));
    return Entry.create({ type: EntryType.EntryNormal, index: at + 1, term: 1, data });
  });
}

const put = (key: string, value: string, lease = 0n): Partial<InternalRaftRequest> => ({
  put: PutRequest.create({ key: bytes(key), value: bytes(value), lease }),
});
const remove = (key: string, end: string, prevKv = false): DeleteRangeRequest =>
  DeleteRangeRequest.create({ key: bytes(key), rangeEnd: bytes(end), prevKv });

/** Keys with and without a lease, not in byte order. */
function founding(): Partial<InternalRaftRequest>[] {
  const requests: Partial<InternalRaftRequest>[] = [{ leaseGrant: { id: LEASE, ttl: 60 } }];
  for (let n = 0; n < KEYS; n += 1) {
    const at = (n * 7919) % KEYS;
    requests.push(put(keyText(at), `v${at}`, at % 2 === 0 ? LEASE : 0n));
  }
  requests.push(put('a', 'before'), put('z', 'after'));
  return requests;
}

const op = (request: NonNullable<RequestOp['request']>): RequestOp => RequestOp.create({ request });

const kinds: Readonly<Record<string, Partial<InternalRaftRequest>>> = {
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

describe.each(Object.keys(kinds))('%s, too large for a turn', (kind) => {
  const log = entries([...founding(), { ...kinds[kind] }, put('k9', 'later', LEASE * 0n), put('a', 'last')]);
  const large = log.length - 2;

  it('writes in small batches what one large batch would write', () => {
    const machine = new Machine();
    machine.apply(log.slice(0, large - 1));
    machine.engine.largestBatch = 0;
    const before = machine.engine.writes;
    machine.apply(log.slice(large - 1));
    expect(machine.engine.largestBatch).toBeLessThan(700);
    expect(machine.engine.writes - before).toBeGreaterThan(15);
    expect(machine.store.keyCounts.total).toBe(machine.read().keys);
    // A newly opened store, the rows of a backend and a lease's keys agree.
    const again = new Machine(machine.engine);
    expect(again.read()).toEqual(machine.read());
    expect(again.store.revision).toBe(machine.store.revision);
  });

  it('becomes visible all at once', () => {
    const machine = new Machine();
    machine.apply(log.slice(0, large - 1));
    const { revision } = machine.store;
    const old = machine.read();
    const oldKeys = runSteps(machine.lessor.keysOf(LEASE)).length;
    const range = keyRange(bytes(keyText(100)), bytes(keyText(3100)));
    const oldPart = machine.read({ range });
    const states = new Set<number>();
    const after: { whole?: string; part?: string } = {};
    let turns = 0;
    machine.apply(log.slice(large - 1, large), () => {
      if (turns++ % 5 > 1) return;
      const seen = machine.store.revision;
      states.add(seen);
      expect(machine.read({ revision })).toEqual(old);
      expect(machine.read({ revision, range, limit: 10 }).count).toBe(oldPart.count);
      const whole = machine.read();
      const part = machine.read({ range, limit: 5 });
      expect(machine.store.range({ ...rangeOptions, countOnly: true }).count).toBe(whole.keys);
      if (seen === revision) {
        expect(whole).toEqual(old);
        expect(part.count).toBe(oldPart.keys);
        if (machine.lessor.lookup(LEASE) !== undefined)
          expect(runSteps(machine.lessor.keysOf(LEASE))).toHaveLength(oldKeys);
        expect(machine.store.get(bytes(keyText(2000)))?.mod).toBeLessThanOrEqual(revision);
      } else {
        after.whole ??= JSON.stringify(whole);
        after.part ??= JSON.stringify(part);
        expect(JSON.stringify(whole)).toBe(after.whole);
        expect(JSON.stringify(part)).toBe(after.part);
        expect(machine.store.get(bytes(keyText(2000)))).toBeUndefined();
        expect(machine.store.getAt(bytes(keyText(2000)), revision)?.mod).toBeLessThanOrEqual(revision);
      }
    });
    expect([...states]).toEqual([revision, revision + 1]);
    expect(JSON.stringify(machine.read())).toBe(after.whole);
    expect(machine.read({ revision })).toEqual(old);
    expect(machine.events.at(-1)?.every(({ main }) => main === revision + 1)).toBe(true);
  });

  it('is complete after a crash at any write', () => {
    const whole = new Machine();
    whole.apply(log);
    const expected = whole.rows();
    const random = new SeededRandom(1);
    const founded = new Machine();
    founded.apply(log.slice(0, large - 1));
    const writes = whole.engine.writes - founded.engine.writes;
    for (let round = 0; round < 8; round += 1) {
      const engine = new DyingEngine();
      const machine = new Machine(engine);
      machine.apply(log.slice(0, large - 1));
      engine.writesLeft = round === 0 ? 1 : random.int(writes);
      expect(() => machine.apply(log.slice(large - 1))).toThrow('killed');
      engine.writesLeft = Infinity;
      const next = new Machine(engine);
      expect(next.read().keys).toBe(next.store.keyCounts.total);
      next.apply(log);
      expect(withoutCounts(next.rows())).toEqual(withoutCounts(expected));
      expect(next.store.keyCounts.total).toBe(whole.store.keyCounts.total);
    }
  });
});

/** Drops the rows of key counts. They may be split differently; the store compares their sums with its own count. */
function withoutCounts(rows: readonly string[]): string[] {
  return rows.filter((row) => !row.startsWith('meta fence/'));
}
