import { beforeEach, describe, expect, it } from 'vitest';
import { AuthStore } from '../auth/auth-store.ts';
import { SimpleTokens } from '../auth/simple-tokens.ts';
import { runSteps } from '../lib/steps.ts';
import { Lessor } from '../lease/lessor.ts';
import { Cluster } from '../membership/cluster.ts';
import { encodeMemberContext } from '../membership/member-json.ts';
import { MvccStore, type StoreEvent } from '../mvcc/store.ts';
import { EngineFullError } from '../ports/engine.ts';
import { MemoryEngine } from '../storage/memory-engine.ts';
import { EtcdError, errors } from '../wire/errors.ts';
import { Permission, PermissionType } from '../wire/gen/authpb.ts';
import {
  AlarmRequest,
  AlarmType,
  AuthenticateResponse,
  AuthUserAddRequest,
  Compare,
  CompareCompareResult,
  CompareCompareTarget,
  DeleteRangeRequest,
  DeleteRangeResponse,
  InternalRaftRequest,
  LeaseGrantResponse,
  PutRequest,
  PutResponse,
  RangeRequest,
  type RequestOp,
  TxnRequest,
  TxnResponse,
} from '../wire/gen/etcdserverpb.ts';
import { ConfChange, ConfChangeType, ConfState, Entry, EntryType } from '../wire/gen/raftpb.ts';
import { AlarmStore } from './alarms.ts';
import { Applier } from './applier.ts';
import type { ApplyListener, ConfChangeResult } from './apply-listener.ts';
import { AppliedState } from './applied-state.ts';
import { Quota } from './quota.ts';
import type { Applied, ApplyResult } from './results.ts';

const MEMBER = 0x8e9en;
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

class Recorder implements ApplyListener {
  results: ApplyResult[] = [];
  events: StoreEvent[] = [];
  confChanges: ConfChangeResult[] = [];
  compactions: number[] = [];
  empties: number[] = [];
  wanted = true;

  isWanted(prefix: number): boolean {
    return this.wanted && prefix === Number(MEMBER);
  }

  onResult(_prefix: number, _sequence: number, result: ApplyResult): void {
    this.results.push(result);
  }

  onConfChange(result: ConfChangeResult): void {
    this.confChanges.push(result);
  }

  onCompaction(revision: number): void {
    this.compactions.push(revision);
  }

  onEmptyEntry(index: number): void {
    this.empties.push(index);
  }

  onEvents(events: readonly StoreEvent[]): void {
    this.events.push(...events);
  }
}

/** The state machine of one member over an in-memory engine. Tests call it with requests; there is no raft log. */
class Machine {
  readonly engine: MemoryEngine;
  readonly recorder = new Recorder();
  store!: MvccStore;
  lessor!: Lessor;
  cluster!: Cluster;
  auth!: AuthStore;
  alarms!: AlarmStore;
  applied!: AppliedState;
  applier!: Applier;
  nowMs = 1000;
  sizeBytes = 0;
  index: number;
  toRaft: bigint[] = [];
  #sequence = 0;

  constructor(engine = new MemoryEngine()) {
    this.engine = engine;
    this.open();
    this.index = this.applied.index;
  }

  open(): void {
    const { engine } = this;
    const clock = { now: (): number => this.nowMs, wall: (): number => this.nowMs };
    const tokens = new SimpleTokens(clock);
    this.store = new MvccStore(engine);
    this.lessor = new Lessor({ engine, clock, minTtl: 2, checkpoints: false });
    this.cluster = new Cluster({ engine, localId: 1n, id: 2n });
    this.auth = new AuthStore({ engine, tokens });
    this.alarms = new AlarmStore(engine);
    this.applied = new AppliedState(engine);
    const { store, lessor, cluster, auth, alarms, applied } = this;
    const quota = new Quota(1_000_000, () => this.sizeBytes);
    const applyToRaft = (change: ConfChange): ConfState => {
      this.toRaft.push(change.nodeId);
      return ConfState.create({ voters: [change.nodeId] });
    };
    this.applier = new Applier(
      { engine, store, lessor, cluster, auth, alarms, applied, quota, tokens, maxLearners: 1, applyToRaft },
      this.recorder,
    );
  }

  entry(request: Partial<InternalRaftRequest>, username = ''): Entry {
    const id = (MEMBER << 48n) | BigInt(++this.#sequence);
    const header = { id, username, authRevision: username === '' ? 0 : this.auth.revision };
    return this.raw(
      EntryType.EntryNormal,
      InternalRaftRequest.encode(InternalRaftRequest.create({ header, ...request })),
    );
  }

  raw(type: EntryType, data: Buffer | undefined): Entry {
    return Entry.create({ type, index: ++this.index, term: 1, data });
  }

  applyAll(entries: Entry[]): ApplyResult[] {
    this.recorder.results = [];
    this.applier.applyBatch(entries);
    return this.recorder.results;
  }

  apply(request: Partial<InternalRaftRequest>, username = ''): ApplyResult {
    const [result] = this.applyAll([this.entry(request, username)]);
    if (result === undefined) throw new Error('no result');
    return result;
  }

  ok(request: Partial<InternalRaftRequest>, username = ''): Applied {
    const result = this.apply(request, username);
    if (result instanceof EtcdError) throw result;
    return result;
  }

  put(key: string, value: string, over: Partial<PutRequest> = {}): ApplyResult {
    return this.apply({ put: PutRequest.create({ key: bytes(key), value: bytes(value), ...over }) });
  }

  txn(request: Partial<TxnRequest>): TxnResponse {
    const { body, revision } = this.ok({ txn: TxnRequest.create(request) });
    expect(body.size).toBe(Buffer.concat(body.slices).length);
    const response = TxnResponse.decode(Buffer.concat(body.slices));
    return { ...response, header: { clusterId: 0n, memberId: 0n, revision, raftTerm: 0 } };
  }

  value(key: string): string | undefined {
    const meta = this.store.get(bytes(key));
    return meta === undefined ? undefined : this.kv(key).value;
  }

  kv(key: string): { value: string; lease: bigint; version: number; mod: number } {
    const meta = this.store.get(bytes(key));
    if (meta === undefined) throw new Error('no such key');
    const response = this.txn({ success: [get(key)] });
    const op = response.responses[0]?.response;
    const [kv] = op?.case === 'responseRange' ? op.value.kvs : [];
    return {
      value: kv?.value.toString('latin1') ?? '',
      lease: meta.lease,
      version: meta.version,
      mod: meta.mod,
    };
  }
}

function putOp(key: string, value: string, over: Partial<PutRequest> = {}): RequestOp {
  return {
    request: {
      case: 'requestPut',
      value: PutRequest.create({ key: bytes(key), value: bytes(value), ...over }),
    },
  };
}

function del(key: string, rangeEnd = '', prevKv = false): RequestOp {
  return {
    request: {
      case: 'requestDeleteRange',
      value: DeleteRangeRequest.create({ key: bytes(key), rangeEnd: bytes(rangeEnd), prevKv }),
    },
  };
}

function get(key: string, over: Partial<RangeRequest> = {}): RequestOp {
  return { request: { case: 'requestRange', value: RangeRequest.create({ key: bytes(key), ...over }) } };
}

function nested(request: Partial<TxnRequest>): RequestOp {
  return { request: { case: 'requestTxn', value: TxnRequest.create(request) } };
}

function compare(key: string, over: Partial<Compare>): Compare {
  return Compare.create({ key: bytes(key), ...over });
}

const { VERSION, MOD, VALUE, LEASE } = CompareCompareTarget;
const { EQUAL, GREATER, LESS, NOT_EQUAL } = CompareCompareResult;

let machine: Machine;

beforeEach(() => {
  machine = new Machine();
});

describe('puts and deletes', () => {
  it('return their revision and the requested previous value', () => {
    expect(machine.put('k', 'a')).toMatchObject({ revision: 2, body: { size: 0 } });
    const second = machine.put('k', 'b', { prevKv: true }) as Applied;
    const response = PutResponse.decode(Buffer.concat(second.body.slices));
    expect(response.prevKv).toMatchObject({ value: bytes('a'), modRevision: 2, version: 1 });
    const deleted = machine.ok({ deleteRange: DeleteRangeRequest.create({ key: bytes('k'), prevKv: true }) });
    expect(deleted.revision).toBe(4);
    const { deleted: count, prevKvs } = DeleteRangeResponse.decode(Buffer.concat(deleted.body.slices));
    expect([count, prevKvs[0]?.version]).toEqual([1, 2]);
    const again = machine.ok({ deleteRange: DeleteRangeRequest.create({ key: bytes('k') }) });
    expect(again.revision).toBe(4);
    expect(machine.recorder.events.map(({ main, isDelete }) => [main, isDelete])).toEqual([
      [2, false],
      [3, false],
      [4, true],
    ]);
  });

  it('can keep the value or the lease of a key that must exist', () => {
    machine.ok({ leaseGrant: { id: 7n, ttl: 60 } });
    expect(machine.put('k', '', { ignoreValue: true })).toBe(errors.KeyNotFound);
    expect(machine.put('k', 'v', { lease: 8n })).toBe(errors.LeaseNotFound);
    machine.put('k', 'v', { lease: 7n });
    machine.put('k', 'w', { ignoreLease: true });
    expect(machine.kv('k')).toMatchObject({ value: 'w', lease: 7n, version: 2 });
    machine.put('k', '', { ignoreValue: true });
    expect(machine.kv('k')).toMatchObject({ value: 'w', lease: 0n, version: 3 });
    expect(runSteps(machine.lessor.keysOf(7n))).toEqual([]);
  });

  it('in one batch see each other', () => {
    const entries = Array.from({ length: 50 }, (_, i) =>
      machine.entry({ put: PutRequest.create({ key: bytes(`k${i % 3}`), value: bytes(String(i)) }) }),
    );
    const results = machine.applyAll(entries) as Applied[];
    expect(results.map(({ revision }) => revision)).toEqual(Array.from({ length: 50 }, (_, i) => i + 2));
    expect(machine.kv('k0')).toMatchObject({ version: 17, value: '48' });
  });
});

describe('transactions', () => {
  it('write at one revision with different sub revisions', () => {
    const response = machine.txn({
      success: [
        putOp('a', '1'),
        putOp('b', '2'),
        del('a'),
        get('', { rangeEnd: bytes('\0'), key: bytes('a') }),
      ],
    });
    expect(response.header?.revision).toBe(2);
    expect(machine.recorder.events.map(({ main, sub }) => [main, sub])).toEqual([
      [2, 0],
      [2, 1],
      [2, 2],
    ]);
    const range = response.responses[3]?.response;
    expect(range).toMatchObject({
      case: 'responseRange',
      value: { count: 1, header: { revision: 2 }, kvs: [{ key: bytes('b') }] },
    });
  });

  it('fill in revisions of nested responses as etcd does', () => {
    const response = machine.txn({ success: [get('x'), nested({ success: [putOp('a', '1')] }), get('x')] });
    const [before, inner, after] = response.responses.map(({ response: op }) => op);
    expect(before).toMatchObject({ value: { header: { revision: 1 } } });
    expect(inner).toMatchObject({ case: 'responseTxn', value: { header: { revision: 0 }, succeeded: true } });
    expect(after).toMatchObject({ value: { header: { revision: 2 } } });
  });

  it('decide nested compares before any write', () => {
    const isAbsent = compare('a', { target: VERSION, result: EQUAL });
    const response = machine.txn({
      success: [
        putOp('a', '1'),
        nested({ compare: [isAbsent], success: [putOp('b', 'absent')], failure: [putOp('b', 'present')] }),
      ],
    });
    expect(response.succeeded).toBe(true);
    expect(machine.value('b')).toBe('absent');
  });

  it('that fail change nothing', () => {
    machine.put('a', '0');
    const bad: [RequestOp, EtcdError][] = [
      [putOp('x', '', { ignoreValue: true }), errors.KeyNotFound],
      [putOp('x', '1', { lease: 9n }), errors.LeaseNotFound],
      [get('a', { revision: 99 }), errors.FutureRev],
      [nested({ success: [get('a', { revision: 99 })] }), errors.FutureRev],
    ];
    for (const [op, error] of bad) {
      expect(machine.apply({ txn: TxnRequest.create({ success: [putOp('a', '1'), op] }) })).toBe(error);
    }
    expect(machine.store.revision).toBe(2);
    expect(machine.value('a')).toBe('0');
    // The branch that is not taken is not checked.
    expect(machine.txn({ failure: [putOp('x', '1', { lease: 9n })] }).succeeded).toBe(true);
  });

  it('keep earlier results when the disk is full after a read at a revision', () => {
    let writesLeft = Infinity;
    const engine = new MemoryEngine();
    const write = engine.write.bind(engine);
    engine.write = (batch) => {
      if (writesLeft-- <= 0) throw new EngineFullError('no space');
      write(batch);
    };
    const machine = new Machine(engine);
    machine.put('a', '1');
    const { recorder } = machine;
    const change = ConfChange.create({ type: ConfChangeType.ConfChangeRemoveNode, nodeId: 7n, id: 5n });
    const entries = [
      machine.raw(EntryType.EntryNormal, undefined),
      machine.raw(EntryType.EntryConfChange, ConfChange.encode(change)),
      machine.entry({ compaction: { revision: 2, physical: false } }),
      machine.entry({ put: PutRequest.create({ key: bytes('a'), value: bytes('2') }) }),
      machine.entry({ txn: TxnRequest.create({ success: [get('a', { revision: 3 }), putOp('a', '3')] }) }),
    ];
    recorder.results = [];
    writesLeft = 1;
    expect(() => machine.applier.applyBatch(entries)).toThrow(EngineFullError);
    expect(recorder.results).toHaveLength(2);
    writesLeft = Infinity;
    machine.open();
    machine.applier.applyBatch(entries);
    expect(recorder.results.map((result) => ('code' in result ? result.code : result.revision))).toEqual([
      2, 3, 4,
    ]);
    expect(recorder.empties).toEqual([entries[0]?.index]);
    expect(recorder.confChanges.map(({ id }) => id)).toEqual([5n]);
    expect(recorder.compactions).toEqual([2]);
    expect(machine.value('a')).toBe('3');
  });

  it('that read at a revision do not see their own writes', () => {
    machine.put('a', 'old');
    const entries = [
      machine.entry({ put: PutRequest.create({ key: bytes('a'), value: bytes('new') }) }),
      machine.entry({
        txn: TxnRequest.create({
          success: [putOp('a', 'newest'), get('a', { revision: 3 }), get('a', { revision: 2 }), get('a')],
        }),
      }),
    ];
    const [, result] = machine.applyAll(entries) as Applied[];
    const { responses } = TxnResponse.decode(Buffer.concat(result!.body.slices));
    const values = responses
      .slice(1)
      .map(({ response }) =>
        response?.case === 'responseRange' ? response.value.kvs[0]?.value.toString() : '',
      );
    expect(values).toEqual(['new', 'old', 'newest']);
  });

  it('report compactions that other members requested too', () => {
    for (let i = 0; i < 5; i++) machine.put('a', String(i));
    machine.ok({ compaction: { revision: 3, physical: false } });
    machine.recorder.wanted = false;
    const compaction = (revision: number): Entry =>
      machine.entry({ compaction: { revision, physical: false } });
    machine.applyAll([compaction(5), compaction(4)]);
    expect(machine.recorder.compactions).toEqual([3, 5]);
  });

  it('refuse compacted revisions', () => {
    for (let i = 0; i < 5; i++) machine.put('a', String(i));
    expect(machine.ok({ compaction: { revision: 4, physical: false } })).toMatchObject({
      revision: 6,
      compacting: 4,
    });
    expect(machine.apply({ compaction: { revision: 4, physical: false } })).toBe(errors.Compacted);
    expect(machine.apply({ compaction: { revision: 7, physical: false } })).toBe(errors.FutureRev);
    expect(machine.apply({ txn: TxnRequest.create({ success: [get('a', { revision: 3 })] }) })).toBe(
      errors.Compacted,
    );
    expect(machine.apply({ txn: TxnRequest.create({ success: [get('a', { revision: -1 })] }) })).toBe(
      errors.Compacted,
    );
  });

  it.each<[string, Partial<Compare>, string, boolean]>([
    ['missing key, version 0', { target: VERSION, result: EQUAL }, 'no', true],
    ['missing key, version above', { target: VERSION, result: GREATER }, 'no', false],
    [
      'missing key, value unequal',
      { target: VALUE, result: NOT_EQUAL, targetUnion: { case: 'value', value: bytes('z') } },
      'no',
      false,
    ],
    ['value', { target: VALUE, result: EQUAL, targetUnion: { case: 'value', value: bytes('1') } }, 'a', true],
    [
      'value above',
      { target: VALUE, result: GREATER, targetUnion: { case: 'value', value: bytes('0') } },
      'a',
      true,
    ],
    ['mod below', { target: MOD, result: LESS, targetUnion: { case: 'modRevision', value: 3 } }, 'a', true],
    ['lease', { target: LEASE, result: EQUAL, targetUnion: { case: 'lease', value: -5n } }, 'c', true],
    [
      'lease above',
      { target: LEASE, result: GREATER, targetUnion: { case: 'lease', value: -5n } },
      'a',
      true,
    ],
    [
      'union of another target',
      { target: MOD, result: GREATER, targetUnion: { case: 'version', value: 99 } },
      'a',
      true,
    ],
    [
      'all of a range',
      { target: VERSION, result: EQUAL, rangeEnd: bytes('d'), targetUnion: { case: 'version', value: 1 } },
      'a',
      true,
    ],
    [
      'one of a range fails',
      {
        target: VALUE,
        result: EQUAL,
        rangeEnd: bytes('\0'),
        targetUnion: { case: 'value', value: bytes('1') },
      },
      'a',
      false,
    ],
    ['empty range, version 0', { target: VERSION, result: EQUAL, rangeEnd: bytes('y') }, 'x', true],
    [
      'empty range, value',
      {
        target: VALUE,
        result: NOT_EQUAL,
        rangeEnd: bytes('y'),
        targetUnion: { case: 'value', value: bytes('1') },
      },
      'x',
      false,
    ],
  ])('compare: %s', (_, condition, key, expected) => {
    machine.put('a', '1');
    machine.put('b', '2');
    machine.ok({ leaseGrant: { id: -5n, ttl: 60 } });
    machine.put('c', '3', { lease: -5n });
    expect(machine.txn({ compare: [compare(key, condition)] }).succeeded).toBe(expected);
  });

  it('have the same effect without a local caller', () => {
    machine.recorder.wanted = false;
    const request = TxnRequest.create({
      success: [
        putOp('a', '1', { prevKv: true }),
        get('a'),
        nested({ success: [del('a', 'b', true), get('a', { revision: 99 })] }),
      ],
    });
    expect(
      machine.applyAll([machine.entry({ txn: TxnRequest.create({ success: [putOp('a', '0')] }) })]),
    ).toEqual([]);
    expect(machine.applyAll([machine.entry({ txn: request })])).toEqual([]);
    expect(machine.store.revision).toBe(2);
    request.success.pop();
    machine.applyAll([machine.entry({ txn: request })]);
    expect(machine.store.get(bytes('a'))).toMatchObject({ version: 2 });
  });
});

describe('leases', () => {
  it('delete their keys at one revision, in byte order', () => {
    const granted = machine.ok({ leaseGrant: { id: 7n, ttl: 1 } });
    expect(LeaseGrantResponse.decode(Buffer.concat(granted.body.slices))).toMatchObject({ id: 7n, ttl: 2 });
    for (const key of ['b', '\xff', 'a', 'c']) machine.put(key, 'v', { lease: 7n });
    machine.put('c', 'v');
    machine.recorder.events = [];
    const entries = [
      machine.entry({ put: PutRequest.create({ key: bytes('aa'), value: bytes('v'), lease: 7n }) }),
      machine.entry({ leaseRevoke: { id: 7n } }),
      machine.entry({ leaseRevoke: { id: 7n } }),
    ];
    const results = machine.applyAll(entries);
    expect(results[1]).toMatchObject({ revision: 8 });
    expect(results[2]).toBe(errors.LeaseNotFound);
    expect(
      machine.recorder.events.slice(1).map(({ key, main, sub }) => [key.toString('latin1'), main, sub]),
    ).toEqual([
      ['a', 8, 0],
      ['aa', 8, 1],
      ['b', 8, 2],
      ['\xff', 8, 3],
    ]);
    expect(machine.value('c')).toBe('v');
    expect(runSteps(machine.lessor.keysOf(7n))).toEqual([]);
  });
});

describe('quota and alarms', () => {
  const raise = (alarm: AlarmType): Applied =>
    machine.ok({ alarm: AlarmRequest.create({ action: 1, memberId: 1n, alarm }) });

  it('apply the put that exceeds the quota, answer it with the error, then refuse others', () => {
    machine.sizeBytes = 999_950;
    expect(machine.put('a', '1')).toBe(errors.NoSpace);
    expect(machine.store.revision).toBe(2);
    expect(machine.apply({ leaseGrant: { id: 1n, ttl: 5 } })).toBe(errors.NoSpace);
    expect(machine.lessor.lookup(1n)).toBeDefined();
    raise(AlarmType.NOSPACE);
    expect(machine.put('a', '2')).toBe(errors.NoSpace);
    expect(machine.apply({ leaseGrant: { id: 2n, ttl: 5 } })).toBe(errors.NoSpace);
    expect(machine.lessor.lookup(2n)).toBeUndefined();
    expect(machine.apply({ txn: TxnRequest.create({ success: [putOp('a', '2')] }) })).toBe(errors.NoSpace);
    expect(machine.store.revision).toBe(2);
    expect(machine.txn({ success: [del('a')] }).header?.revision).toBe(3);
    expect(machine.apply({ leaseRevoke: { id: 1n } })).toMatchObject({ revision: 3 });
  });

  it('for a corrupt cluster refuse all requests to the store', () => {
    raise(AlarmType.CORRUPT);
    expect(machine.put('a', '1')).toBe(errors.Corrupt);
    expect(machine.apply({ deleteRange: DeleteRangeRequest.create({ key: bytes('a') }) })).toBe(
      errors.Corrupt,
    );
    expect(machine.apply({ txn: TxnRequest.create({}) })).toBe(errors.Corrupt);
    expect(machine.apply({ compaction: { revision: 1, physical: false } })).toBe(errors.Corrupt);
    expect(machine.apply({ leaseGrant: { id: 1n, ttl: 5 } })).toBe(errors.Corrupt);
    expect(machine.apply({ leaseRevoke: { id: 1n } })).toBe(errors.Corrupt);
    machine.open();
    expect(machine.alarms.get(AlarmType.NONE)).toEqual([{ memberId: 1n, alarm: AlarmType.CORRUPT }]);
    machine.ok({ alarm: AlarmRequest.create({ action: 2, memberId: 1n, alarm: AlarmType.CORRUPT }) });
    expect(machine.put('a', '1')).toMatchObject({ revision: 2 });
  });
});

describe('raft log entries', () => {
  it('are applied once, also when they are passed again after a restart', () => {
    const entries = [1, 2, 3].map((i) =>
      machine.entry({ put: PutRequest.create({ key: bytes('k'), value: bytes(String(i)) }) }),
    );
    machine.applyAll(entries);
    machine.open();
    expect(machine.applied.index).toBe(3);
    const more = machine.entry({ put: PutRequest.create({ key: bytes('k'), value: bytes('4') }) });
    expect(machine.applyAll([...entries, more])).toHaveLength(1);
    expect(machine.kv('k')).toMatchObject({ version: 4, mod: 5 });
  });

  it('must have no gaps and no unknown requests', () => {
    machine.index += 1;
    expect(() => machine.put('k', 'v')).toThrow('applied without gaps');
    const other = new Machine();
    expect(() => other.apply({})).toThrow('of a kind this version can apply');
  });

  it('can be empty, at the start of a term', () => {
    machine.applyAll([
      machine.raw(EntryType.EntryNormal, undefined),
      machine.raw(EntryType.EntryNormal, Buffer.alloc(0)),
    ]);
    expect(machine.recorder.empties).toEqual([1, 2]);
  });

  it('change members and inform raft; refused changes have node ID 0', () => {
    const member = { id: 5n, name: 'm', peerUrls: ['http://m:1'], clientUrls: [], isLearner: false };
    const context = encodeMemberContext({ member, isPromote: false });
    const add = ConfChange.encode(
      ConfChange.create({ id: 77n, type: ConfChangeType.ConfChangeAddNode, nodeId: 5n, context }),
    );
    machine.applyAll([
      machine.raw(EntryType.EntryConfChange, add),
      machine.raw(EntryType.EntryConfChange, add),
    ]);
    expect(machine.recorder.confChanges).toMatchObject([
      { id: 77n, error: undefined, change: { kind: 'added', id: 5n } },
      { id: 77n, error: errors.MemberExist, change: undefined },
    ]);
    expect(machine.toRaft).toEqual([5n, 0n]);
    machine.open();
    expect(machine.cluster.member(5n)).toEqual(member);
    expect(machine.applied.confState.voters).toEqual([5n]);
    machine.apply({ clusterVersionSet: { ver: '3.7.0' } });
    machine.apply({
      clusterMemberAttrSet: { memberId: 5n, memberAttributes: { name: 'n', clientUrls: ['http://c:1'] } },
    });
    machine.apply({ downgradeInfoSet: { enabled: true, ver: '3.6.0' } });
    machine.open();
    expect(machine.cluster.version).toEqual({ major: 3, minor: 7, patch: 0 });
    expect(machine.cluster.member(5n)).toMatchObject({ name: 'n', clientUrls: ['http://c:1'] });
    expect(machine.cluster.downgrade).toEqual({ enabled: true, targetVersion: '3.6.0' });
  });
});

/** Entries applied over several turns. */
function applyInTurns(entries: Entry[]): { turns: number; results: ApplyResult[] } {
  machine.recorder.results = [];
  let turns = 0;
  for (let at = 0; at < entries.length; turns += 1) at += machine.applier.applyBatch(entries.slice(at));
  return { turns, results: machine.recorder.results };
}

// Four transactions of 500 puts took 30 ms in one turn, and later two of them 26 ms.
it('transactions with many keys are applied over several turns', () => {
  const txns = Array.from({ length: 8 }, (_, txn) => {
    const success = Array.from({ length: 300 }, (_key, n) => putOp(`k${txn}/${n}`, ''));
    return machine.entry({ txn: TxnRequest.create({ success }) });
  });
  const { turns, results } = applyInTurns(txns);
  expect(turns).toBe(16);
  expect(results).toMatchObject(Array.from({ length: 8 }, (_, txn) => ({ revision: 2 + txn })));
});

describe('authentication', () => {
  beforeEach(() => {
    machine.ok({ authUserAdd: AuthUserAddRequest.create({ name: 'root', hashedPassword: 'eA==' }) });
    machine.ok({ authUserAdd: AuthUserAddRequest.create({ name: 'u', hashedPassword: 'eA==' }) });
    machine.ok({ authUserGrantRole: { user: 'root', role: 'root' } });
    machine.ok({ authRoleAdd: { name: 'r' } });
    machine.ok({ authUserGrantRole: { user: 'u', role: 'r' } });
    const perm = Permission.create({ permType: PermissionType.WRITE, key: bytes('w'), rangeEnd: bytes('x') });
    machine.ok({ authRoleGrantPermission: { name: 'r', perm } });
    machine.ok({ leaseGrant: { id: 7n, ttl: 60 } });
    machine.ok({ put: PutRequest.create({ key: bytes('secret'), value: bytes('s'), lease: 7n }) });
    machine.ok({ authEnable: {} });
  });

  const as = (request: Partial<InternalRaftRequest>): ApplyResult => machine.apply(request, 'u');
  const putAs = (key: string, over: Partial<PutRequest> = {}): ApplyResult =>
    as({ put: PutRequest.create({ key: bytes(key), ...over }) });

  it('is required for every request; changes of permissions need root', () => {
    expect(machine.put('w', 'v')).toBe(errors.UserEmpty);
    expect(machine.apply({ authRoleAdd: { name: 'x' } })).toBe(errors.UserEmpty);
    expect(as({ authRoleAdd: { name: 'x' } })).toBe(errors.PermissionDenied);
    expect(as({ authUserGet: { name: 'root' } })).toBe(errors.PermissionDenied);
    expect(as({ authUserGet: { name: 'u' } })).toMatchObject({ body: { size: 3 } });
    expect(as({ authRoleGet: { role: 'root' } })).toBe(errors.PermissionDenied);
    expect(as({ authRoleGet: { role: 'r' } })).toMatchObject({ revision: 2 });
  });

  it('is checked for puts, their previous values and their leases', () => {
    expect(putAs('w')).toMatchObject({ revision: 3 });
    expect(putAs('v')).toBe(errors.PermissionDenied);
    expect(putAs('w', { prevKv: true })).toBe(errors.PermissionDenied);
    expect(putAs('w', { lease: 7n })).toBe(errors.PermissionDenied);
    expect(as({ leaseRevoke: { id: 7n } })).toBe(errors.PermissionDenied);
  });

  // A put with a lease of 100,000 keys took a quarter of a second, in one turn.
  it('is checked over many turns for a lease with many keys', () => {
    const keys = Array.from({ length: 10_000 }, (_, n) => putOp(`w${n}`, '', { lease: 8n }));
    machine.ok({ leaseGrant: { id: 8n, ttl: 60 } }, 'root');
    machine.ok({ authDisable: {} }, 'root');
    applyInTurns([machine.entry({ txn: TxnRequest.create({ success: keys }) })]);
    machine.ok({ authEnable: {} });
    const ofUser = (request: Partial<InternalRaftRequest>): Entry => machine.entry(request, 'u');
    const put = (lease: bigint): Entry =>
      ofUser({ put: PutRequest.create({ key: bytes('w'), value: bytes('v'), lease }) });
    const txn = (): Entry =>
      ofUser({
        txn: TxnRequest.create({
          success: [putOp('wa', '1', { lease: 8n }), putOp('wb', '2', { lease: 8n })],
        }),
      });
    const revision = machine.store.revision;
    const first = applyInTurns([put(0n), put(8n), put(0n)]);
    expect(first.results).toMatchObject([
      { revision: revision + 1 },
      { revision: revision + 2 },
      { revision: revision + 3 },
    ]);
    expect(first.turns).toBeGreaterThan(10);
    const second = applyInTurns([txn()]);
    expect(second.results).toMatchObject([{ revision: revision + 4 }]);
    expect(second.turns).toBeGreaterThan(10);
    // The keys are checked once for the whole transaction.
    expect(second.turns).toBeLessThan(first.turns + 5);
    machine.ok({ leaseRevoke: { id: 7n } }, 'root');
    machine.ok({ put: PutRequest.create({ key: bytes('z'), lease: 8n }) }, 'root');
    expect(applyInTurns([put(8n)]).results).toEqual([errors.PermissionDenied]);
  });

  it('is checked for a whole transaction, with both branches and nested ones', () => {
    const run = (request: Partial<TxnRequest>): ApplyResult => as({ txn: TxnRequest.create(request) });
    expect(run({ success: [putOp('w', '1'), del('wx')] })).toMatchObject({ revision: 3 });
    const refused: Partial<TxnRequest>[] = [
      { compare: [compare('w', {})] },
      { failure: [putOp('v', '1')] },
      { success: [get('w')] },
      { success: [del('w', 'x', true)] },
      { success: [del('w', '\0')] },
      { success: [putOp('w', '1', { lease: 7n })] },
      { success: [nested({ failure: [nested({ success: [putOp('v', '')] })] })] },
    ];
    for (const request of refused) expect(run(request)).toBe(errors.PermissionDenied);
  });

  it('makes the same token on every member', () => {
    const before = machine.applied.index;
    const result = machine.ok({ authenticate: { name: 'u', password: '', simpleToken: 'prefix' } });
    expect(AuthenticateResponse.decode(Buffer.concat(result.body.slices)).token).toBe(`prefix.${before}`);
    expect(machine.apply({ authenticate: { name: 'nobody', password: '', simpleToken: 'p' } })).toBe(
      errors.AuthFailed,
    );
  });
});
